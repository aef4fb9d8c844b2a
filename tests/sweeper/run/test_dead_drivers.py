"""A driver that dies: its trials are ended or go on, and the next one ships what it left."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeper.errors import UserError
from sweeper.records import TrialSpec
from sweeper.run.driver.attempts import Attempts
from sweeper.run.driver.drive import SweepRun
from sweeper.run.runner import Job
from sweeper.store.artifacts import StagingArea
from sweeper.store.journal import Finished, Journal, Reported, Shipped, Started, read_journal
from sweeper.store.tracking import Tracking
from tests.sweeper.run.bowls import FIVE


class DyingRunner:
    """Begins the first `n_trials`, and breaks."""

    n_slots, runs_here, n_cpus = 1, True, math.inf

    def __init__(self, n_trials: int) -> None:
        self.n_trials = n_trials
        self.begun: list[TrialSpec] = []

    def run(self, attempts: Attempts, job: Job) -> None:
        for _ in range(self.n_trials):
            spec = attempts.next()
            assert spec is not None
            attempts.started(spec.key)
            attempts.reported(spec.key, 1, {"loss_validation": 3.0})
            self.begun.append(spec)
        raise RuntimeError("the machine broke")


def killed(folder: Path) -> None:
    """Make the journal that of a driver that was killed: it had no last words."""
    path = folder / "journal.log"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if b'"event":"abandoned"' not in line))


def statuses(tracking: Tracking) -> dict[str, str]:
    return {
        row.key: tracking._client.get_run(row.run_id).info.status for row in tracking.results.rows()
    }


def submissions(tracking: Tracking) -> list[str]:
    experiment = tracking._client.get_experiment_by_name("bowls").experiment_id
    runs = tracking._client.search_runs([experiment], "tags.role = 'submission'")
    return sorted(run.info.status for run in runs)


def test_a_sweep_has_one_driver_at_a_time(run: Callable[..., SweepRun], store_dir: Path) -> None:
    journal = Journal(store_dir / "sweeps" / "bowls")
    try:
        with pytest.raises(UserError, match="another driver is running this sweep"):
            run(FIVE)
    finally:
        journal.close()


def test_a_driver_that_fails_leaves_nothing_running(
    run: Callable[..., SweepRun], tracking: Tracking
) -> None:
    with pytest.raises(RuntimeError, match="the machine broke"):
        run(FIVE, DyingRunner(2))
    assert [row.state for row in tracking.results.rows()] == ["WAITING", "WAITING"]
    assert set(statuses(tracking).values()) == {"KILLED"}
    assert submissions(tracking) == ["KILLED"]


@pytest.mark.parametrize("by_signal", [True, False])
def test_what_was_in_flight_runs_first_and_goes_on_in_its_run(
    run: Callable[..., SweepRun], store_dir: Path, tracking: Tracking, by_signal: bool
) -> None:
    run("kind: bowl\nspace: {x: [-1.0, -0.5]}\n")
    dying = DyingRunner(2)
    with pytest.raises(RuntimeError):
        run(FIVE, dying)
    if by_signal:
        killed(store_dir / "sweeps" / "bowls")
    left = {row.key: row.run_id for row in tracking.results.rows() if row.state != "COMPLETE"}
    assert [spec.config["x"] for spec in dying.begun] == [0.0, 0.5]
    before = len(list(read_journal(store_dir / "sweeps" / "bowls" / "journal.log")))

    wider = "kind: bowl\nspace: {x: [-2.0, -1.0, -0.5, 0.0, 0.5, 1.0]}\n"
    assert run(wider).n_run == 4
    events = list(read_journal(store_dir / "sweeps" / "bowls" / "journal.log"))[before:]
    started = [event.key for event in events if isinstance(event, Started)]
    assert started[:2] == [spec.key for spec in dying.begun]
    rows = {row.key: row for row in tracking.results.rows()}
    assert {key: rows[key].run_id for key in left} == left
    assert {row.state for row in rows.values()} == {"COMPLETE"}
    assert len(rows) == 6


def test_a_trial_that_was_in_flight_and_is_no_longer_declared_is_ended(
    run: Callable[..., SweepRun], store_dir: Path, tracking: Tracking
) -> None:
    dying = DyingRunner(1)
    with pytest.raises(RuntimeError):
        run("kind: bowl\nspace: {x: [2.0]}\n", dying)
    killed(store_dir / "sweeps" / "bowls")
    for row in tracking.results.rows():  # as the kill leaves it
        tracking._client.update_run(row.run_id, status="RUNNING")
        tracking._client.set_tag(row.run_id, "state", "RUNNING")
    run(FIVE)
    [left] = [row for row in tracking.results.rows() if row.key == dying.begun[0].key]
    assert (left.state, left.error) == ("WAITING", "its driver ended before it did")
    assert statuses(tracking)[left.key] == "KILLED"
    n_submissions = len(submissions(tracking))
    assert run(FIVE).n_run == 0
    assert len(submissions(tracking)) == n_submissions
    again = run("kind: bowl\nspace: {x: [2.0]}\n")
    assert (again.n_run, again.rows[0].run_id) == (1, left.run_id)


def test_what_a_trial_reported_reaches_the_store_though_its_driver_was_killed(
    run: Callable[..., SweepRun], store_dir: Path, tracking: Tracking
) -> None:
    run(FIVE)
    folder = store_dir / "sweeps" / "bowls"
    journal = Journal(folder)
    key = next(e.outcome.key for e in journal.earlier if isinstance(e, Finished))
    report = Reported(key=key, step=7, metrics={"loss_validation": 3.5}, at_ms=123)
    journal.append(Started(key=key), report)
    journal.close()
    assert run(FIVE).n_run == 1
    [row] = [row for row in tracking.results.rows() if row.key == key]
    history = tracking._client.get_metric_history(row.run_id, "loss_validation")
    assert (7, 123, 3.5) in [(m.step, m.timestamp, m.value) for m in history]
    assert row.metrics["loss_validation"] != 3.5


def test_what_a_dead_driver_had_not_shipped_is_shipped_by_the_next(
    run: Callable[..., SweepRun], store_dir: Path, tracking: Tracking
) -> None:
    run(FIVE)
    folder = store_dir / "sweeps" / "bowls"
    # As a driver leaves it that dies between a trial's end and its shipping: another store, the
    # same journal without its last records, the artifacts still staged.
    events = list(read_journal(folder / "journal.log"))
    finished = [event for event in events if isinstance(event, Finished)]
    last = finished[-1].outcome
    (folder / "journal.log").unlink()
    journal = Journal(folder)
    for event in events:
        if not (isinstance(event, Shipped) and event.key == last.key):
            journal.append(event)
    journal.close()
    row = next(row for row in tracking.results.rows() if row.key == last.key)
    staging = StagingArea(folder / "staged")
    partial = staging.begin(last.key)
    for artifact in last.artifacts:
        local = tracking.results.fetch_artifact(row.run_id, artifact.path)
        (partial / artifact.path).write_bytes(local.read_bytes())
    staging.commit(last.key)
    tracking._client._tracking_client.store._hard_delete_run(row.run_id)
    assert len(tracking.results.rows()) == 4

    again = run(FIVE)
    assert (again.n_run, again.n_unshipped) == (0, 0)
    stored = {row.key: row for row in tracking.results.rows()}
    assert len(stored) == 5
    assert stored[last.key].metrics == last.metrics
    assert not staging.folder(last.key).exists()


def test_what_the_database_has_got_is_neither_shipped_nor_run_again(
    run: Callable[..., SweepRun], store_dir: Path, tracking: Tracking
) -> None:
    run(FIVE)
    path = store_dir / "sweeps" / "bowls" / "journal.log"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if b'"event":"shipped"' not in line))
    n_submissions = len(submissions(tracking))
    again = run(FIVE)
    assert (again.n_run, again.n_unshipped) == (0, 0)
    assert len(submissions(tracking)) == n_submissions
    assert {row.run_id for row in again.rows} == {row.run_id for row in tracking.results.rows()}


@pytest.mark.parametrize("last", ["suggested", "started"])
def test_what_the_database_holds_is_not_run_again_though_the_journal_lost_its_tail(
    run: Callable[..., SweepRun], store_dir: Path, tracking: Tracking, last: str
) -> None:
    run(FIVE)
    path = store_dir / "sweeps" / "bowls" / "journal.log"
    whole = list(read_journal(path))
    lines = path.read_bytes().splitlines(keepends=True)
    ends = [n for n, line in enumerate(lines, 1) if f'"event":"{last}"'.encode() in line]
    path.write_bytes(b"".join(lines[: ends[2]]))
    again = run(FIVE)
    assert (again.n_run, again.n_unshipped) == (0, 0)
    assert {row.state for row in tracking.results.rows()} == {"COMPLETE"}
    ended = {e.outcome.key: e.outcome for e in whole if isinstance(e, Finished)}
    assert {row.key: row.outcome for row in again.rows} == ended


def test_a_driver_without_the_database_that_its_journal_knows_runs_nothing_again(
    run: Callable[..., SweepRun], store_dir: Path
) -> None:
    run(FIVE)
    (store_dir / "mlflow.db").write_bytes(b"")
    with pytest.raises(UserError, match=r"knows 5 trials that it held; 'sweeper fsck --repair'"):
        run(FIVE)
