"""All commands put together, with one error boundary around them.

What the user caused is one line and exit code 2; a traceback is our bug.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import entry_points

import click

import sweeper
from sweeper.cli.checking import fsck, rerun
from sweeper.cli.judging import report
from sweeper.cli.looking import diff, kinds, ls, query, show
from sweeper.cli.running import check, plan, run
from sweeper.cli.serving import serve, submit
from sweeper.errors import UserError, one_line

EXIT_INTERRUPTED = 130
COMMANDS_GROUP = "sweeper.commands"
"""The entry-point group by which installed packages add commands (name -> a click command)."""


class _Group(click.Group):
    """Commands of our own, and those that installed packages add by an entry point each."""

    def list_commands(self, context: click.Context) -> list[str]:
        added = entry_points(group=COMMANDS_GROUP).names
        return sorted({*super().list_commands(context), *added})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if (own := super().get_command(context, name)) is not None:
            return own
        for point in entry_points(group=COMMANDS_GROUP, name=name):
            try:
                added: click.Command = point.load()
            except ImportError as error:  # must not keep the other commands from working
                return _broken(name, point.value, error)
            return added
        return None


def _broken(name: str, where: str, error: ImportError) -> click.Command:
    """Stands for a command of an installed package that cannot be imported."""

    def refuse() -> None:
        raise UserError(f"the command '{name}' cannot be imported from {where}: {error}")

    return click.Command(name, callback=refuse, help=f"Cannot be imported: {error}.")


@click.group(
    cls=_Group,
    commands=[
        *(run, check, plan),
        *(kinds, ls, show, query, diff),
        report,
        *(fsck, rerun),
        *(serve, submit),
    ],
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
    except UserError as error:
        click.echo(f"sweeper: {error}", err=True)
        sys.exit(error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(2)
    except click.ClickException as error:
        click.echo(f"sweeper: {one_line(error.format_message())}", err=True)
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        click.echo("sweeper: interrupted; the same command goes on where this stopped", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        sys.stdout = None  # the reader has gone; nothing to flush to
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)
