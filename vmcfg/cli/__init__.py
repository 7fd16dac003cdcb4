"""The command line: one file per command, and the only place that prints.

A command's file has NAME, HELP, EXAMPLES, `add_arguments(parser)` and `execute(arguments)`, which returns the exit
code; `main` lists the files. What a command needs beyond the argument parser it imports when it is executed, so that
`--help` and `validate` cost neither NumPy nor numba.

Results go to standard output, everything else (errors, progress, announcements) to standard error.
"""
