from __future__ import annotations

import math
from pathlib import Path

import pytest

from sweeper.errors import UserError
from sweeper.records import Outcome, TrialSpec, TrialState
from sweeper.store.artifacts import manifest
from sweeper.store.location import locate_store
from sweeper.store.peek import peek
from sweeper.store.tracking import Tracking

SPEC = TrialSpec(
    key="k1",
    kind="bowl",
    kind_version=1,
    config={"x": 0.1, "n_atoms": "4x", "on": True, "note": "two  spaces\nand a line"},
    input_digests={"source": "abc"},
    varied=("x", "n_atoms", "on"),
)


@pytest.fixture
def tracking(store_dir: Path) -> Tracking:
    return Tracking(locate_store(str(store_dir)))


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    folder = tmp_path / "staged"
    folder.mkdir()
    (folder / "atoms.csv").write_text("atom,token\n0,the\n")
    return folder


def outcome(staged: Path, **changes: object) -> Outcome:
    values = {
        "key": "k1",
        "state": TrialState.COMPLETE,
        "metrics": {"loss": 0.25, "nan": math.nan, "inf": math.inf},
        "artifacts": manifest(staged),
        "facts": {"frequency_table": "zipf"},
        "provenance": {"python": "3.11"},
        "started_ms": 1000,
        "ended_ms": 3500,
    }
    return Outcome(**(values | changes))  # type: ignore[arg-type]


def test_a_trial_comes_back_as_it_was_shipped(tracking: Tracking, staged: Path) -> None:
    parent = tracking.open_submission("bowls", "first", {})
    run_id = tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged)
    [row] = tracking.rows(["bowls"])
    assert (row.run_id, row.key, row.state, row.submission) == (run_id, "k1", "COMPLETE", parent)
    assert row.params == SPEC.config
    assert row.metrics["loss"] == 0.25
    assert math.isnan(row.metrics["nan"])
    assert row.metrics["inf"] == math.inf
    assert row.facts == {"frequency_table": "zipf"}
    assert row.provenance == {"python": "3.11", "input.source": "abc"}
    assert row.label == "x=0.1 n_atoms=4x on=True"
    assert row.duration_s == 2.5


def test_shipping_twice_changes_nothing(tracking: Tracking, staged: Path) -> None:
    parent = tracking.open_submission("bowls", "first", {})
    for _ in range(2):
        tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged)
    [row] = tracking.rows()
    history = tracking._client.get_metric_history(row.run_id, "loss")
    assert [(m.value, m.timestamp) for m in history] == [(0.25, 3500)]


def test_a_run_left_running_is_continued(tracking: Tracking, staged: Path) -> None:
    parent = tracking.open_submission("bowls", "first", {})
    begun = tracking.start_trial("bowls", parent, SPEC, 1000)
    assert tracking.rows()[0].state is TrialState.RUNNING
    assert tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged) == begun
    assert tracking.rows()[0].state is TrialState.COMPLETE


def test_numeric_varied_fields_are_metrics_too(tracking: Tracking) -> None:
    parent = tracking.open_submission("bowls", "first", {})
    run_id = tracking.start_trial("bowls", parent, SPEC, 1000)
    metrics = tracking._client.get_run(run_id).data.metrics
    assert metrics == {"swept/x": 0.1}


def test_artifacts_are_held_against_their_digest(tracking: Tracking, staged: Path) -> None:
    parent = tracking.open_submission("bowls", "first", {})
    run_id = tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged)
    local = tracking.fetch_artifact(run_id, "atoms.csv")
    assert local.read_text() == "atom,token\n0,the\n"
    stored = next(Path(staged.parent / "results" / "artifacts").rglob("atoms.csv"))
    stored.write_text("atom,token\n0,teh\n")
    with pytest.raises(UserError, match=r"atoms\.csv.* changed or cut short"):
        tracking.fetch_artifact(run_id, "atoms.csv")
    with pytest.raises(UserError, match="has no artifact 'other'"):
        tracking.fetch_artifact(run_id, "other")


def test_a_staged_artifact_that_changed_is_never_shipped(tracking: Tracking, staged: Path) -> None:
    parent = tracking.open_submission("bowls", "first", {})
    finished = outcome(staged)
    (staged / "atoms.csv").write_text("cut")
    with pytest.raises(UserError, match="changed or cut short"):
        tracking.finish_trial("bowls", parent, SPEC, finished, staged)


def test_a_peek_sees_what_the_client_sees(
    tracking: Tracking, staged: Path, store_dir: Path
) -> None:
    parent = tracking.open_submission("bowls", "first", {})
    tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged)
    tracking.start_trial("bowls", parent, SPEC.model_copy(update={"key": "k2"}), 1000)
    seen = {(g.key, g.state, g.sweep, g.kind) for g in peek(locate_store(str(store_dir)))}
    rows = {(row.key, row.state, row.sweep, row.kind) for row in tracking.rows()}
    assert seen == rows
    assert len(seen) == 2


def test_a_peek_at_nothing_is_empty_and_at_rubbish_is_refused(tmp_path: Path) -> None:
    store = locate_store(str(tmp_path / "none"))
    assert peek(store) == []
    store.root.mkdir()
    store.database.write_bytes(b"not a database" * 100)
    with pytest.raises(UserError, match="not a tracking store"):
        peek(store)


def test_a_dead_driver_s_submission_is_ended(tracking: Tracking) -> None:
    left = tracking.open_submission("bowls", "first", {})
    assert tracking.abandon_submissions("bowls") == 1
    assert tracking._client.get_run(left).info.status == "KILLED"
    assert tracking.abandon_submissions("bowls") == 0
