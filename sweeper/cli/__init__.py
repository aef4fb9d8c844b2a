"""The command line: parses and prints. Data on stdout, progress and notes on stderr.

`program` puts the commands together, a module for each group of them; those lean on what they
share (`options`, `stored`, `pages`, `ending`), and nothing leans back. Heavy imports live inside
the commands that need them, so that `--help`, `check` and `plan` answer at once.
"""

from sweeper.cli.program import cli, main

__all__ = ["cli", "main"]
