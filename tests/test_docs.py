"""The documents do not lie: files, functions, commands and make targets that they name exist."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from sweeper.cli import cli

PROJECT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    [
        *(PROJECT / "docs").glob("*.md"),
        *(PROJECT / name for name in ("CONTRIBUTING.md", "SECURITY.md", "README.md")),
    ]
)
ROOTS = {path.name for path in PROJECT.iterdir()} - {"mlflow"}
# A map of the tree and a table of what to open; the others write prose for users.
NAMES_CODE = ("architecture.md", "CONTRIBUTING.md")


@pytest.fixture(params=DOCUMENTS, ids=lambda path: path.name)
def document(request: pytest.FixtureRequest) -> Path:
    return request.param


def code_spans(text: str) -> list[str]:
    """What stands between backticks outside of fenced blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


def test_every_path_in_a_document_exists(document: Path) -> None:
    for span in code_spans(document.read_text()):
        if re.fullmatch(r"[\w.-]+(/[\w.-]+)*/?", span) and span.split("/")[0] in ROOTS:
            is_written_by_a_run = span.split("/")[0] in ("results", ".venv")
            assert is_written_by_a_run or (PROJECT / span).exists(), span


def test_every_test_that_a_document_names_exists(document: Path) -> None:
    tests = "\n".join(path.read_text() for path in (PROJECT / "tests").rglob("test_*.py"))
    for span in code_spans(document.read_text()):
        if re.fullmatch(r"test_\w+", span):
            assert f"def {span}(" in tests, span


def test_every_link_in_a_document_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_every_command_in_a_document_exists(document: Path) -> None:
    known = set(cli.list_commands(click.Context(cli)))
    named = set(re.findall(r"(?:`|^|bin/)sweeper ([a-z]+)\b", document.read_text(), re.MULTILINE))
    assert named <= known


def test_every_option_of_a_command_in_a_document_exists(document: Path) -> None:
    for name, rest in re.findall(
        r"(?:`|^|bin/)sweeper ([a-z]+)\b([^`\n#]*)", document.read_text(), re.MULTILINE
    ):
        command: click.Command | None = cli.get_command(click.Context(cli), name)
        if isinstance(command, click.Group):
            word = rest.split()[0]
            command = command.get_command(click.Context(command), word)
            assert command is not None, f"{name} {word}"
        assert command is not None, name
        options = {o for parameter in command.params for o in parameter.opts} | {"--help"}
        assert set(re.findall(r"(?<!\S)--[a-z][a-z-]*", rest)) <= options, (name, rest)


def test_every_make_target_in_a_document_exists(document: Path) -> None:
    makefile = (PROJECT / "Makefile").read_text()
    for target in re.findall(r"(?:`|^)make ([a-z-]+)", document.read_text(), re.MULTILINE):
        assert f"\n{target}:" in makefile, target


@pytest.mark.parametrize("name", NAMES_CODE)
def test_every_function_and_class_in_a_map_of_the_code_exists(name: str) -> None:
    [document] = [path for path in DOCUMENTS if path.name == name]
    defined = set()
    for folder in ("sweeper", "trials", "study", "tests"):
        for path in (PROJECT / folder).rglob("*.py"):
            defined |= set(
                re.findall(r"^\s*(?:def|class) (\w+)|^([A-Z_]+)\b.* = ", path.read_text(), re.M)
            )
    known = {word for pair in defined for word in pair}
    for span in code_spans(document.read_text()):
        if re.fullmatch(r"[A-Z][a-z]+[A-Za-z]*|[a-z]+(_[a-z]+)+", span.partition("(")[0]):
            assert span.partition("(")[0] in known | {"Makefile"}, span
