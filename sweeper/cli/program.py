"""The command `sweeper`, with one error boundary around all its commands.

What the user or the machine caused is one line and exit code 2; a traceback is our bug.
`SWEEPER_TRACEBACK=1` shows the traceback of the former, too.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

import click

import sweeper
from sweeper.cli.commands import LazyGroup
from sweeper.errors import UserError, lacks_space, masked, one_line, os_error_line

EXIT_BUG, EXIT_INTERRUPTED = 1, 130
TRACEBACK = "SWEEPER_TRACEBACK"


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(sweeper.__version__, prog_name="sweeper")
def cli() -> None:
    """Sweeps of sparse-coding experiments on the embedding matrices of transformers.

    SWEEP is a sweep file (YAML) or the name of a ready-made sweep.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """The one error boundary."""
    try:
        code = cli.main(args=arguments, prog_name="sweeper", standalone_mode=False)
        sys.stdout.flush()  # at exit, a full disk could only be told by a traceback
    except UserError as error:
        _fail(str(error), error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(2)
    except click.ClickException as error:
        _fail(one_line(error.format_message()), 2)
    except (KeyboardInterrupt, click.Abort):
        click.echo("sweeper: interrupted; rerun the same command to resume", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        sys.stdout = None  # the reader has gone; nothing to flush to
        sys.exit(0)
    except OSError as error:
        where = "" if error.filename or not lacks_space(error) else "cannot write the output: "
        _fail(where + os_error_line(error), 2)
    except Exception:
        sys.stderr.write(masked(traceback.format_exc()))
        sys.exit(EXIT_BUG)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(line: str, code: int) -> NoReturn:
    """Say in one line why the command failed, and exit; what stdout still holds may not fit."""
    if os.environ.get(TRACEBACK):
        sys.stderr.write(masked(traceback.format_exc()))
    with suppress(OSError):
        click.echo(f"sweeper: {line}", err=True)
    try:
        sys.stdout.flush()
    except OSError:
        sys.stdout = None
    sys.exit(code)
