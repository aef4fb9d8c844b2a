"""The table of commands: each is loaded when it is called, and `--help` lists it without."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from sweeper.cli import cli, commands


def added(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """A command that an installed package would add."""
    points = [EntryPoint(name, value, commands.COMMANDS_GROUP)]
    monkeypatch.setattr(commands, "entry_points", lambda group: points)


@pytest.mark.parametrize("name", sorted(commands.COMMANDS))
def test_the_help_that_is_read_from_the_source_is_that_of_the_command(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name
    listed = commands._short_help(commands._entry_points()[name], 70)
    assert listed == command.get_short_help_str(70)
    assert listed


def test_a_package_adds_a_command_that_no_help_imports(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "their_commands.py").write_text(
        'import click\n\n@click.command()\ndef greet():\n    """Say hello."""\n    print("hello")\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    added(monkeypatch, "greet", "their_commands:greet")
    assert "greet   Say hello.\n" in CliRunner().invoke(cli, ["--help"]).output
    assert "their_commands" not in sys.modules
    assert CliRunner().invoke(cli, ["greet"]).output == "hello\n"


def test_a_command_that_cannot_be_imported_keeps_no_other_from_working(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    added(monkeypatch, "greet", "nothere.commands:greet")
    assert "greet" in CliRunner().invoke(cli, ["--help"]).output
    assert CliRunner().invoke(cli, ["check", "pursuit"]).exit_code == 0
    failed = CliRunner().invoke(cli, ["greet"])
    assert "the command 'greet' cannot be imported from nothere.commands" in str(failed.exception)


def test_no_package_replaces_a_command_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    added(monkeypatch, "check", "nothere.commands:check")
    assert CliRunner().invoke(cli, ["check", "pursuit"]).exit_code == 0


def test_a_mistyped_command_gets_a_hint() -> None:
    failed = CliRunner().invoke(cli, ["verdct"])
    assert failed.exit_code == 2
    assert "verdict" in failed.output
