"""The command line: parses and prints. Data on stdout, progress and notes on stderr.

`program` holds the command `sweeper` and the one error boundary; `commands` is the table of all
commands. A command's module (`declaring`, `running`, `looking`, `reporting`, `checking`, `serving`)
is imported when the command is called. They share `options`, `stored` and `ending`.
"""

from sweeper.cli.program import cli, main

__all__ = ["cli", "main"]
