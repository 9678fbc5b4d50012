"""The native engine: the model compiled to machine code, in a threaded interpreter.

`slots` has decoded instructions (model code), `emitter` writes handlers in LLVM IR, `instructions`
makes those of instructions from their model functions, and `interpreter` joins them to a module.
`library` compiles it, or finds it in the user's `cache`; `engine` runs harts with it.
"""
