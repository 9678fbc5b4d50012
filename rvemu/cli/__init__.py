"""The command line: one file per command, arguments and printing only.

A command's module has a docstring that is its help, and

    configure(parser)   adds its arguments
    execute(arguments)  does it, and returns the exit status

To add one: a file here, and its name in `main.COMMANDS`.
"""
