from pathlib import Path

import pytest

import trials
from sweeper.declare.files import find, ready_made
from sweeper.declare.loading import load_sweep
from sweeper.errors import UserError

TEXT = "kind: toy\nfixed: {source: s}\nspace: {width: [2, 4]}\n"


@pytest.fixture
def sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of ready-made sweeps, holding `pursuit` and `nulls`."""
    folder = tmp_path / "installed" / "sweeps"
    folder.mkdir(parents=True)
    for name in ("pursuit", "nulls"):
        (folder / f"{name}.yaml").write_text(TEXT)
    monkeypatch.setattr(trials, "__file__", str(folder.parent / "__init__.py"))
    return folder


def test_ready_made_sweeps_lie_beside_the_kinds(sweeps: Path) -> None:
    assert ready_made() == {"nulls": sweeps / "nulls.yaml", "pursuit": sweeps / "pursuit.yaml"}


def test_a_bare_word_is_a_ready_made_sweep(sweeps: Path) -> None:
    sweep = load_sweep("pursuit")
    assert (sweep.name, sweep.origin) == ("pursuit", str(sweeps / "pursuit.yaml"))


def test_a_file_of_that_name_comes_first(sweeps: Path) -> None:
    Path("pursuit").write_text(TEXT)
    assert find("pursuit") == (Path("pursuit"), "pursuit")


def test_a_folder_of_that_name_is_no_file(sweeps: Path) -> None:
    Path("pursuit").mkdir()
    assert find("pursuit")[0] == sweeps / "pursuit.yaml"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "persuit",
            "'persuit' is neither a file nor a ready-made sweep; did you mean 'pursuit'?",
        ),
        (
            "qqq",
            "'qqq' is neither a file nor a ready-made sweep; allowed: nulls, pursuit",
        ),
        ("mine.yml", "mine.yml: no such file; did you mean 'mine.yaml'?"),
        ("mien.yaml", "mien.yaml: no such file; did you mean 'mine.yaml'?"),
        ("nothere.yaml", "nothere.yaml: no such file"),
        ("sub/mine", "sub/mine: no such file"),
        ("", "'' is neither a file nor a ready-made sweep; allowed: nulls, pursuit"),
        ("a\0.yaml", "a .yaml: no such file"),
        ("sub.yaml", "sub.yaml: no such file"),
    ],
)
def test_a_sweep_that_does_not_exist_gets_the_nearest_name(
    sweeps: Path, given: str, message: str
) -> None:
    Path("mine.yaml").write_text(TEXT)
    with pytest.raises(UserError) as caught:
        load_sweep(given)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["-x.yaml", "a b.yaml", f"{'a' * 101}.yaml", "naïve.yaml"])
def test_a_file_name_that_cannot_name_a_sweep_is_refused(name: str) -> None:
    Path(name).write_text(TEXT)
    with pytest.raises(UserError) as caught:
        load_sweep(name)
    assert str(caught.value) == (
        f"{name}: the file name is the sweep's name;"
        " at most 100 letters, digits, '.', '_' and '-', a letter or digit first"
    )
