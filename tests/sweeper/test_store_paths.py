"""A store at any path that people have: it works, or is refused before anything is written."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from sweeper.cli import main

SWEEP = "kind: bowl\nspace: {x: [0.1, 0.2]}\n"
COMMANDS = (
    "ls",
    "ls --json",
    "plan bowls.yaml",
    "query x>0",
    "show bowls:x=0.1",
    "diff bowls:x=0.1 bowls:x=0.2",
    "rerun bowls:x=0.1",
    "report -o page.html",
    "fsck",
    "fsck --repair",
)


def sweeper(*words: str) -> int:
    """Exit code of a command."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "given",
    [
        "a b",
        "100%",
        "a#b",
        "a&b=c;d",
        "a:b",
        'it\'s "so"',
        "größe-日本",
        "deep/er/",
        "./here/../there",
        "link/st",
        "~/st",
        "-dash",
        "*[x]",
    ],
)
def test_every_command_works_on_a_store_at_that_path(
    given: str,
    tmp_path: Path,
    make_store: Callable[[Path], Path],
    write_sweep: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.setenv("HOME", str(here))
    (tmp_path / "elsewhere").mkdir()
    (here / "link").symlink_to(tmp_path / "elsewhere")
    monkeypatch.chdir(here)
    (here / "bowls.yaml").write_text(SWEEP)
    folder = Path(given).expanduser()
    folder.parent.mkdir(parents=True, exist_ok=True)
    (here / "here").mkdir(exist_ok=True)
    make_store(folder)
    assert sweeper("run", "bowls.yaml", "--in-process", "--store", given) == 0
    for command in COMMANDS:
        assert sweeper(*command.split(), "--store", given) == 0, command
    capsys.readouterr()
    assert sweeper("ls", "--json", "--store", given) == 0
    trials = json.loads(capsys.readouterr().out)
    assert [trial["state"] for trial in trials] == ["COMPLETE", "COMPLETE"]
    outside = {p for p in files(here) if not (here / p).resolve().is_relative_to(folder.resolve())}
    assert outside - {Path("bowls.yaml"), Path("page.html")} == set()
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        assert database.execute("SELECT count(*) FROM runs").fetchone() == (3,)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("d/q?x", "holds '?', which ends the path in a database URI"),
        ("d/a%20b", "holds an escape such as %20"),
        ("d/new\nline", "holds a character that cannot be printed"),
        ("d/tab\tbed", "holds a character that cannot be printed"),
        ("d/" + "x" * 300, "File name too long"),
        ("bowls.yaml/below", "bowls.yaml' is a file; a store is a folder or a URI"),
    ],
)
def test_a_path_that_cannot_be_is_refused_before_anything_is_written(
    given: str,
    said: str,
    tmp_path: Path,
    write_sweep: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_sweep(SWEEP)
    for command in ("run bowls.yaml --in-process", *COMMANDS):
        assert sweeper(*command.split(), "--store", given) == 2, command
        shown = capsys.readouterr()
        assert said in shown.err
        assert shown.err.count("\n") == 1
        assert shown.out == ""
    assert files(tmp_path) == {Path("bowls.yaml")}
