"""The command line: parses and prints. Data goes to stdout, progress and notes to stderr.

    program      the command `sweeper` and the one error boundary
    commands     the table of commands; a command's module is imported when the command is called
    declaring    kinds, check, plan: light, each answers within about a second
    running      run
    looking      ls, show, diff
    querying     query
    reporting    report
    exporting    export
    checking     fsck, rerun
    removing     rm, prune
    serving      serve, submit

The commands share `options` (arguments), `stored` (opening a store) and `ending` (closing lines and
exit code). Installed packages add commands by the entry-point group `sweeper.commands`.
"""

from sweeper.cli.program import cli, main

__all__ = ["cli", "main"]
