"""A stored trial is repeated beside the store, and only where the question is still the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import toy_kinds

from sweeper.errors import UserError
from sweeper.records import Outcome, TrialRow, TrialState
from sweeper.run.driver.drive import SweepRun
from sweeper.run.rerun import rerun
from sweeper.store.tracking import Tracking


def repeat(tracking: Tracking, row: TrialRow) -> Outcome:
    return rerun(row, tracking.results.spec(row.run_id), tracking.store)


@pytest.fixture
def stored(run: Callable[..., SweepRun], tracking: Tracking) -> Callable[[str], TrialRow]:
    """`stored(text)` runs a sweep of one trial and returns it as the database has it."""

    def only(text: str) -> TrialRow:
        run(text)
        [row] = tracking.results.rows()
        return row

    return only


def test_a_repeated_trial_gives_the_same_bits_and_leaves_the_store_as_it_is(
    stored: Callable[[str], TrialRow], tracking: Tracking, store_dir: Path
) -> None:
    row = stored("kind: bowl\nspace: {x: [0.5]}\nfixed: {n_steps: 2}\n")
    before = {path: path.stat().st_mtime_ns for path in store_dir.rglob("*.csv")}
    outcome = repeat(tracking, row)
    for name in ("loss_validation", "loss_held_out", "threads"):
        assert outcome.metrics[name] == row.metrics[name]
    assert outcome.artifacts == row.artifacts
    assert tracking.results.rows() == [row]
    assert {path: path.stat().st_mtime_ns for path in store_dir.rglob("*.csv")} == before


def test_a_failed_trial_fails_again(stored: Callable[[str], TrialRow], tracking: Tracking) -> None:
    row = stored("kind: bowl\nspace: {fate: [raise]}\n")
    outcome = repeat(tracking, row)
    assert (outcome.state, outcome.error) == (TrialState.FAILED, row.error)


def test_a_changed_input_is_another_question(
    stored: Callable[[str], TrialRow], tracking: Tracking, tmp_path: Path
) -> None:
    source = tmp_path / "matrix.bin"
    source.write_bytes(b"one")
    row = stored(f"kind: bowl\nfixed: {{source: {source}}}\n")
    source.write_bytes(b"two")
    with pytest.raises(UserError, match=r"input 'source' .* had digest .*cannot be asked again"):
        repeat(tracking, row)
    source.unlink()
    with pytest.raises(UserError, match=r"does not exist: the same question cannot"):
        repeat(tracking, row)


def test_another_version_of_the_kind_is_another_question(
    stored: Callable[[str], TrialRow], tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = stored("kind: bowl\nspace: {x: [0.5]}\n")
    newer = replace(toy_kinds.BOWL, version=2)
    monkeypatch.setattr("sweeper.run.rerun.load_kind", lambda name: newer)
    with pytest.raises(UserError, match=r"'bowl' version 1, installed is version 2: the same"):
        repeat(tracking, row)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"state": TrialState.PRUNED}, "was stopped early"),
        ({"state": TrialState.RUNNING}, r"has not finished \(RUNNING\); sweeper run bowls"),
    ],
)
def test_a_trial_without_a_result_cannot_be_compared(
    stored: Callable[[str], TrialRow], tracking: Tracking, changes: Any, message: str
) -> None:
    row = stored("kind: bowl\nspace: {x: [0.5]}\n")
    with pytest.raises(UserError, match=message):
        repeat(tracking, row.model_copy(update=changes))


def test_a_kind_that_is_not_installed_is_named(
    stored: Callable[[str], TrialRow], tracking: Tracking
) -> None:
    row = stored("kind: bowl\nspace: {x: [0.5]}\n")
    gone = tracking.results.spec(row.run_id).model_copy(update={"kind": "bowll"})
    with pytest.raises(UserError, match="kind 'bowll' is not installed; did you mean 'bowl'"):
        rerun(row, gone, tracking.store)
