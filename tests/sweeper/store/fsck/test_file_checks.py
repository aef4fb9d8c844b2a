"""Artifacts and folders: each thing that can be wrong with a file is done, found, and mended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sweeper.store.fsck.repair import RunAgain
from sweeper.store.journal import Started, Suggested


@pytest.mark.parametrize(
    ("hurt", "problem"),
    [
        (lambda file: file.unlink(), "is missing"),
        (lambda file: file.write_bytes(file.read_bytes()[:-1]), "has 14 bytes of 15"),
        (lambda file: file.write_bytes(b"atom,token\n0,z\n"), "has SHA-256"),
    ],
    ids=["deleted", "truncated", "flipped"],
)
def test_a_damaged_artifact_that_lies_nowhere_else_is_made_again(
    small: Any, hurt: Callable[[Path], Any], problem: str
) -> None:
    file = small.artifact("a", "tables/atoms.csv")
    hurt(file)
    found = small.one()
    assert found.where == f"trial note=a (run {small.run_ids['a'][:12]}) tables/atoms.csv"
    assert found.problem.startswith(problem)
    small.repaired()
    assert small.states() == {"a": "WAITING", "b": "COMPLETE"}
    assert [s.key for s in small.history().unfinished] == ["a"]


def test_a_damaged_artifact_is_copied_back_from_another_run(small: Any) -> None:
    small.artifact("a", "codes.bin").write_bytes(b"not the same any more..")
    assert small.one().repair.text == f"copies it from run {small.run_ids['b'][:12]}"
    small.repaired()
    assert small.artifact("a", "codes.bin").read_bytes() == b"the same in every trial"
    assert small.states() == {"a": "COMPLETE", "b": "COMPLETE"}


def test_a_copy_that_is_damaged_too_is_no_copy(small: Any) -> None:
    for key in "ab":
        small.artifact(key, "codes.bin").write_bytes(b"not the same any more..")
    assert {type(d.repair) for d in small.disagreements()} == {RunAgain}


def test_a_file_that_no_record_names_is_reported_and_left_alone(small: Any) -> None:
    extra = small.artifact("a", "codes.bin").with_name("extra.txt")
    extra.write_text("mine")
    assert small.one().what == "unlisted"
    verdict = small.repair()
    assert [d.what for d in verdict.disagreements] == ["unlisted"]
    assert extra.read_text() == "mine"


def test_what_an_earlier_attempt_left_is_not_unlisted(small: Any) -> None:
    outcome = small.finish("a", artifacts=False)
    small.ship("a", outcome)
    assert small.disagreements() == []


def test_folders_that_nothing_needs_are_removed_and_the_others_kept(
    small: Any, make_spec: Callable[..., Any]
) -> None:
    small.write(Suggested(spec=make_spec("c")), Started(key="c"))
    small.staging.begin("b")
    for folder in ("staged/a", "staged/zzz", "staged/c", "checkpoints/a", "checkpoints/c"):
        (small.folder / folder).mkdir(parents=True)
    problems = {d.where: d.problem for d in small.disagreements()}
    partial = next(where for where in problems if where.endswith(".partial"))
    assert problems == {
        "staged/a": "staged artifacts of a trial that has ended",
        "staged/zzz": "staged artifacts of a trial that is not known",
        "staged/c": "staged artifacts of a trial that began, and its end is not in the journal",
        partial: "staged artifacts that were never written to the end",
        "checkpoints/a": "checkpoint of a trial that has ended",
    }
    small.repaired()
    assert [path.name for path in (small.folder / "checkpoints").iterdir()] == ["c"]
