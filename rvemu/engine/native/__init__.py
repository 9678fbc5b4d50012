"""The native engine: the model compiled to machine code, in a threaded interpreter.

slots.py     decoded instructions (model code)
handlers.py  the interpreter, as LLVM IR
library.py   compiles it, or finds it in
cache.py     the user's cache
engine.py    runs harts with it
"""
