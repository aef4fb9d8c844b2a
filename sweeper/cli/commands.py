"""The commands by name, and the group that loads a command's module when the command is called.

So a command module imports at its top whatever it needs, and `--help` still answers at once: the
help of a command is read from the docstring in its source, without importing it.
"""

from __future__ import annotations

import ast
from importlib.abc import SourceLoader
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec

import click
from click.shell_completion import CompletionItem

from sweeper.errors import UserError

COMMANDS = {
    "check": "sweeper.cli.declaring:check",
    "diff": "sweeper.cli.looking:diff",
    "export": "sweeper.cli.exporting:export",
    "fsck": "sweeper.cli.checking:fsck",
    "kinds": "sweeper.cli.declaring:kinds",
    "ls": "sweeper.cli.looking:ls",
    "plan": "sweeper.cli.declaring:plan",
    "prune": "sweeper.cli.removing:prune",
    "query": "sweeper.cli.querying:query",
    "report": "sweeper.cli.reporting:report",
    "rerun": "sweeper.cli.checking:rerun",
    "rm": "sweeper.cli.removing:rm",
    "run": "sweeper.cli.running:run",
    "serve": "sweeper.cli.serving:serve",
    "show": "sweeper.cli.looking:show",
    "submit": "sweeper.cli.serving:submit",
}
"""Our own commands: name -> module and function."""

COMMANDS_GROUP = "sweeper.commands"
"""The entry-point group by which installed packages add commands (name -> a click command)."""


class LazyGroup(click.Group):
    """Our own commands, and those that installed packages add by an entry point each."""

    def list_commands(self, context: click.Context) -> list[str]:
        """The names of all commands."""
        return sorted(_entry_points())

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The command, whose module is imported now; None if there is none of that name."""
        if (point := _entry_points().get(name)) is None:
            return None
        try:
            command: click.Command = point.load()
        except ImportError as error:
            if name in COMMANDS:
                raise
            return _broken(point, error)  # the other commands must keep working
        return command

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, but a wrong name gets a hint at a similar one of ours."""
        try:
            return super().resolve_command(context, arguments)
        except click.NoSuchCommand as error:
            name, names = error.command_name, self.list_commands(context)
            raise click.NoSuchCommand(name, possibilities=names, ctx=context) from None

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the section of `--help` that lists the commands."""
        points = _entry_points()
        limit = formatter.width - 6 - max(map(len, points))
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, _short_help(points[name], limit)) for name in sorted(points)]
            )

    def shell_complete(self, context: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names of commands that begin like `incomplete`, then the group's own options."""
        items = [
            CompletionItem(name, help=_short_help(point))
            for name, point in sorted(_entry_points().items())
            if name.startswith(incomplete)
        ]
        return [*items, *click.Command.shell_complete(self, context, incomplete)]


def _entry_points() -> dict[str, EntryPoint]:
    """Every command by name; no package can replace one of ours."""
    added = {point.name: point for point in entry_points(group=COMMANDS_GROUP)}
    ours = {name: EntryPoint(name, value, COMMANDS_GROUP) for name, value in COMMANDS.items()}
    return added | ours


def _short_help(point: EntryPoint, limit: int = 45) -> str:
    return click.Command(point.name, help=_docstring(point)).get_short_help_str(limit)


def _docstring(point: EntryPoint) -> str:
    """The docstring of a command's function, read from its source; "" if it cannot be read."""
    try:
        spec = find_spec(point.module)
    except ImportError:
        return ""
    if spec is None or not isinstance(spec.loader, SourceLoader):
        return ""
    for node in ast.parse(spec.loader.get_source(point.module) or "").body:
        if isinstance(node, ast.FunctionDef) and node.name == point.attr:
            return ast.get_docstring(node) or ""
    return ""


def _broken(point: EntryPoint, error: ImportError) -> click.Command:
    """Stands for a command of an installed package that cannot be imported."""

    def refuse() -> None:
        what = f"the command '{point.name}' cannot be imported from {point.value}: {error}"
        raise UserError(what)

    return click.Command(point.name, callback=refuse, help=f"Cannot be imported: {error}.")
