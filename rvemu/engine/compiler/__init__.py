"""Compiles model functions (`docs/model.md`) to textual LLVM IR.

values.py       what an expression is: known when compiled, or a machine word with a range
arithmetic.py   operators, and how they move ranges
intrinsics.py   the functions of rvemu.lang
builder.py      lines of IR, blocks, stack slots
signature.py    what annotations say
syntax.py       small questions about syntax trees
frames.py       local variables, and the fast path's peculiarities
core.py, static.py, fields.py, expressions.py, calls.py, statements.py
                the compiler of one function, in layers
function.py     one function, from its parameters to its return
callable.py     compiled functions for Python to call
program.py      functions, their copies for static arguments, constant tables
"""
