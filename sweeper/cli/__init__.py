"""The command line: parses and prints. Data goes to stdout, progress and notes to stderr.

    program     all commands and the one error boundary around them
    running     run, check, plan
    looking     kinds, ls, show, query, diff
    judging     report
    checking    fsck, rerun
    serving     serve, submit

The commands share `options` (arguments), `stored` (opening a store), `pages` (reports) and `ending`
(closing lines and exit code). Installed packages add commands by the entry-point group
`sweeper.commands`. Heavy imports live inside the commands that need them, because `--help`, `check`
and `plan` must answer within about a second.
"""

from sweeper.cli.program import cli, main

__all__ = ["cli", "main"]
