"""Sweeps that run after others: the files that they name, and what they ask of their trials."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sweeper.declare.loading import load_sweep
from sweeper.errors import UserError
from tests.sweeper.declare.bad_inputs.sweep_files import GOOD, cases, tail

OTHERS = {
    "base.yaml": GOOD,
    "loop.yaml": tail("after: s.yaml"),
    "far.yaml": tail("after: loop.yaml"),
    "lost.yaml": tail("after: gone.yaml"),
    "bad.yaml": tail("seeds: 0"),
    "sub/s.yaml": GOOD.replace("toy", "nulled"),
    "unknown.yaml": GOOD.replace("toy", "tyo"),
}
RUNS = "kind: toy\nafter: base.yaml\nspace:\n  source:\n    runs: base\n    where: {%s}\n"

FIRST = {
    "missing": (tail("after: nothere.yaml"), "s.yaml:6: after: no such file 'nothere.yaml'"),
    "missing in a mapping": (
        tail("after:\n  sweep: nothere.yaml"),
        "s.yaml:7: after.sweep: no such file 'nothere.yaml'",
    ),
    "misspelt": (
        tail("after: bsae.yaml"),
        "s.yaml:6: after: no such file 'bsae.yaml'; did you mean 'base.yaml'?",
    ),
    "missing further on": (
        tail("after: lost.yaml"),
        "lost.yaml:6: after: no such file 'gone.yaml'",
    ),
    "no such ready-made sweep": (
        tail("after: persuit"),
        "s.yaml:6: after: 'persuit' is neither a file nor a ready-made sweep; "
        "did you mean 'pursuit'?",
    ),
    "itself": (
        tail("after: s.yaml"),
        "s.yaml:6: after: a sweep cannot run before itself: s.yaml -> s.yaml",
    ),
    "itself by another path": (
        tail("after: sub/../s.yaml"),
        "s.yaml:6: after: a sweep cannot run before itself: s.yaml -> s.yaml",
    ),
    "a loop of two": (
        tail("after: loop.yaml"),
        "loop.yaml:6: after: a sweep cannot run before itself: s.yaml -> loop.yaml -> s.yaml",
    ),
    "a loop of three": (
        tail("after: far.yaml"),
        "loop.yaml:6: after: a sweep cannot run before itself: "
        "s.yaml -> far.yaml -> loop.yaml -> s.yaml",
    ),
    "a mistake in the other file": (
        tail("after: bad.yaml"),
        "bad.yaml:6: seeds: 0 seeds; from 1 to 10,000",
    ),
    "of an unknown kind": (
        tail("after: unknown.yaml"),
        "unknown.yaml:1: kind: unknown kind 'tyo'; did you mean 'toy'?",
    ),
    "of this name and another kind": (
        tail("after: sub/s.yaml"),
        "s.yaml:6: after: the sweep that runs before is named 's' too, and is of another kind; "
        "rename a file",
    ),
    "unknown field under set": (
        tail("after: {sweep: base.yaml, set: {nope: 1}}"),
        "s.yaml:6: after.set.nope: unknown field or key 'nope'; allowed: seed, source, penalty, "
        "width, n_atoms, mode, null, nonnegative, betas, optimiser, description, after, ...",
    ),
    "misspelt field under set": (
        tail("after:\n  sweep: base.yaml\n  set:\n    widht: 2"),
        "s.yaml:9: after.set.widht: unknown field or key 'widht'; did you mean 'width'?",
    ),
    "refused value under set": (
        tail("after: {sweep: base.yaml, set: {width: 65}}"),
        "s.yaml:6: after.set.width: given 65; must be at most 64",
    ),
    "unknown part under set": (
        tail("after: {sweep: base.yaml, set: {search.methd: random}}"),
        "s.yaml:6: after.set.search.methd: unknown key 'methd'; did you mean 'method'?",
    ),
    "kind under set": (
        tail("after: {sweep: base.yaml, set: {kind: sealed}}"),
        "s.yaml:6: after.set.kind: the kind of a sweep cannot be changed; copy the file",
    ),
    "unknown field under where": (
        RUNS % "widht: 2",
        "s.yaml:6: space.source.where.widht: trials of 'base' have no field 'widht'; "
        "did you mean 'width'?",
    ),
}


@pytest.fixture(autouse=True)
def others() -> None:
    """The files that the tables name."""
    Path("sub").mkdir()
    for name, text in OTHERS.items():
        Path(name).write_text(text)


@pytest.mark.parametrize(("text", "message"), cases(FIRST))
def test_a_mistake_gets_one_line_with_place_value_and_rule(
    refusal: Callable[[str | bytes], str], text: str | bytes, message: str
) -> None:
    assert refusal(text) == message


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "first=s.yaml",
            "--set first=s.yaml: a sweep cannot run before itself: s.yaml -> s.yaml",
        ),
        ("first=nothere.yaml", "--set first=nothere.yaml: no such file 'nothere.yaml'"),
        ("after.set.widht=2", "--set after.set.widht=2: 'sweep' is missing"),
    ],
)
def test_a_mistake_in_an_option_names_the_option(
    write: Callable[[str], str], option: str, message: str
) -> None:
    with pytest.raises(UserError) as caught:
        load_sweep(write(GOOD), overrides=[option])
    assert str(caught.value) == message


def test_a_known_field_under_where_is_no_mistake(write: Callable[[str], str]) -> None:
    sweep = load_sweep(write(RUNS % "width: 2, optimiser.lr: 0.1, seed: 0"))
    assert [before.name for before in sweep.predecessors] == ["base"]
