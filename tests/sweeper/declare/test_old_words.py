"""Old keys of sweep files: they work as before, and are named as old in one line on stderr."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import trials
from sweeper.declare.canonical import sweep_text
from sweeper.declare.loading import load_sweep, stored_seeds
from sweeper.errors import UserError

BASE = "kind: nulled\nfixed: {source: s, width: 4}\nspace: {penalty: [0.1, 0.2]}\n"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text(BASE)

    def write(text: str) -> str:
        Path("s.yaml").write_text(text)
        return "s.yaml"

    return write


def test_a_file_with_old_words_declares_the_same_sweep(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    new = load_sweep(write(BASE + "after: base.yaml\nnulls: [gaussian]\n"))
    assert capsys.readouterr().err == ""
    old = load_sweep(write(BASE + "first: base.yaml\nbeside_null: [gaussian]\n"))
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        "s.yaml:5: 'beside_null' is called 'nulls' now",
        "s.yaml:4: 'first' is called 'after' now",
    ]
    assert said.out == ""
    assert old == new
    assert sweep_text(old) == sweep_text(new)


def test_options_with_old_words_do_the_same(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(BASE + "after: {sweep: base.yaml, set: {beside_null: [gaussian]}}\n")
    sweep = load_sweep(path, overrides=["first.set.seeds=2", "beside_null=[shuffled]"])
    assert sweep.nulls == ("shuffled",)
    assert sweep.predecessor is not None
    assert (sweep.predecessor.nulls, sweep.predecessor.seeds) == (("gaussian",), (0, 1))
    assert capsys.readouterr().err.splitlines() == [
        "--set first.set.seeds=2: 'first' is called 'after' now",
        "--set beside_null=[shuffled]: 'beside_null' is called 'nulls' now",
        "s.yaml:4: after.set.beside_null: 'beside_null' is called 'nulls' now",
    ]


def test_both_words_at_once_are_refused(write: Callable[..., str]) -> None:
    with pytest.raises(UserError) as caught:
        load_sweep(write(BASE + "nulls: [gaussian]\nbeside_null: [gaussian]\n"))
    assert str(caught.value) == (
        "s.yaml:5: 'beside_null' is called 'nulls' now, and both are given; keep 'nulls'"
    )


def test_a_stored_file_with_old_words_is_read_without_a_word(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert stored_seeds(BASE + "beside_null: [gaussian]\nseeds: 3\n") == (0, 1, 2)
    assert capsys.readouterr().err == ""


def test_a_config_field_of_that_name_is_no_old_word(
    write: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        trials, "KINDS", trials.KINDS | {"dictionary_match": "trials.dictionary_match.kind:KIND"}
    )
    text = "kind: dictionary_match\nfixed: {first: 'run:a', second: 'run:b'}\n"
    sweep = load_sweep(write(text), overrides=["first=run:c"])
    assert (sweep.fixed["first"], sweep.after) == ("run:c", None)
    assert capsys.readouterr().err == ""
