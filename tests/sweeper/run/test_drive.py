"""Idempotence: the same command makes the database hold what the file declares, and no more."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sweeper.errors import DiskFull, UserError
from sweeper.records import TrialSpec
from sweeper.run import drive
from sweeper.run.attempts import Attempts
from sweeper.run.drive import SweepRun
from sweeper.run.keys import trial_key
from sweeper.run.runner import Job
from sweeper.store import journal as journal_module
from sweeper.store import tracking as tracking_module
from sweeper.store.artifacts import StagingArea
from sweeper.store.journal import Finished, Journal, Reported, Shipped, Started, read_journal
from sweeper.store.replay import replay
from sweeper.store.saved_view import VIEW_TAG
from sweeper.store.tracking import Tracking

FIVE = "kind: bowl\nspace: {x: [-1.0, -0.5, 0.0, 0.5, 1.0]}\n"


def test_widening_a_space_runs_only_the_new_points(run: Callable[..., SweepRun]) -> None:
    assert run("kind: bowl\nspace: {x: [0.0, 1.0]}\n").n_run == 2
    assert run(FIVE).n_run == 3


def test_another_sweep_reuses_trials_and_names_their_run(
    run: Callable[..., SweepRun], tracking: Tracking
) -> None:
    first = {row.key: row.run_id for row in run(FIVE).rows}
    other = run("kind: bowl\nspace: {x: [0.0, 0.25, 1.0]}\n", name="others")
    assert other.n_run == 1
    linked = {row.key: row.reused_from for row in tracking.rows(["others"]) if row.reused_from}
    assert len(linked) == 2
    assert linked == {key: first[key] for key in linked}


def test_a_failed_trial_runs_again_only_when_asked(
    run: Callable[..., SweepRun], tracking: Tracking
) -> None:
    text = "kind: bowl\nspace: {fate: [well, raise]}\n"
    assert run(text).n_run == 2
    assert run(text).n_run == 0
    assert run(text, retry_failed=True).n_run == 1
    assert len(tracking.rows()) == 2


def test_a_stopped_trial_stands_only_where_trials_are_stopped(run: Callable[..., SweepRun]) -> None:
    text = "kind: bowl\nfixed: {n_steps: 4}\nspace: {x: [0.0, 0.1, 0.2, 1.0, 2.0]}\n"
    stopping = text + "early_stopping: {method: asha, metric: loss_validation, reduction: 2}\n"
    states = [row.state for row in run(stopping).rows]
    n_stopped = states.count("PRUNED")
    assert n_stopped > 0
    assert run(stopping).n_run == 0
    elsewhere = run(text, name="others")
    assert elsewhere.n_run == n_stopped
    assert {row.state for row in elsewhere.rows} == {"COMPLETE"}
    # Where nothing stops trials any more, those that were stopped are taken from where they ended.
    again = run(text)
    assert again.n_run == 0
    assert {row.state for row in again.rows} == {"COMPLETE"}


def test_the_content_of_an_input_is_part_of_the_key(
    run: Callable[..., SweepRun], tmp_path: Path
) -> None:
    source = tmp_path / "matrix.bin"
    source.write_bytes(b"one")
    text = f"kind: bowl\nfixed: {{source: {source}}}\n"
    before = run(text).rows[0].key
    source.write_bytes(b"two")
    again = run(text)
    assert again.n_run == 1
    assert again.rows[0].key != before


def test_a_key_hangs_on_everything_that_changes_the_answer() -> None:
    base = trial_key("bowl", 1, {"x": 1.0, "seed": 0}, {"source": "a"})
    assert base == trial_key("bowl", 1, {"seed": 0, "x": 1.0}, {"source": "a"})
    others = {
        trial_key("cup", 1, {"x": 1.0, "seed": 0}, {"source": "a"}),
        trial_key("bowl", 2, {"x": 1.0, "seed": 0}, {"source": "a"}),
        trial_key("bowl", 1, {"x": 1.5, "seed": 0}, {"source": "a"}),
        trial_key("bowl", 1, {"x": 1.0, "seed": 0}, {"source": "b"}),
    }
    assert len({base, *others}) == 5


def test_a_missing_input_is_one_line_before_anything_starts(
    run: Callable[..., SweepRun], store_dir: Path
) -> None:
    with pytest.raises(UserError, match=r"source 'nowhere\.bin' does not exist"):
        run("kind: bowl\nfixed: {source: nowhere.bin}\n")
    assert not (store_dir / "sweeps").exists()


def test_a_sweep_has_one_driver_at_a_time(run: Callable[..., SweepRun], store_dir: Path) -> None:
    journal = Journal(store_dir / "sweeps" / "bowls")
    try:
        with pytest.raises(UserError, match="another driver is running this sweep"):
            run(FIVE)
    finally:
        journal.close()


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
    row = next(row for row in tracking.rows() if row.key == last.key)
    staging = StagingArea(folder / "staged")
    partial = staging.begin(last.key)
    for artifact in last.artifacts:
        local = tracking.fetch_artifact(row.run_id, artifact.path)
        (partial / artifact.path).write_bytes(local.read_bytes())
    staging.commit(last.key)
    tracking._client.delete_run(row.run_id)
    assert len(tracking.rows()) == 4

    again = run(FIVE)
    assert (again.n_run, again.n_unshipped) == (0, 0)
    stored = {row.key: row for row in tracking.rows()}
    assert len(stored) == 5
    assert stored[last.key].metrics == last.metrics
    assert not staging.folder(last.key).exists()


def test_nulls_never_count_as_best_and_are_marked(
    run: Callable[..., SweepRun], tracking: Tracking
) -> None:
    run('kind: bowl\nspace: {"null": [none, flat]}\n')
    assert {row.params["null"]: row.is_control for row in tracking.rows()} == {
        "none": False,
        "flat": True,
    }


def test_a_submission_holds_its_sweep_file_and_report(
    run: Callable[..., SweepRun], tracking: Tracking
) -> None:
    row = run(FIVE).rows[0]
    stored = next(r for r in tracking.rows() if r.key == row.key)
    names = {file.path for file in tracking._client.list_artifacts(stored.submission)}
    assert names == {"report.html", "bowls.yaml"}
    assert "kind: bowl" in tracking.last_submission("bowls")[0]


def test_a_sweep_leaves_a_view_for_the_ui_that_groups_its_seeds(
    run: Callable[..., SweepRun], tracking: Tracking
) -> None:
    run('kind: bowl\nspace: {x: [0.0, 1.0], "null": [none, flat]}\nseeds: 2\n')
    tags = tracking._client.get_experiment_by_name("bowls").tags
    view = json.loads(tags[VIEW_TAG])
    state = json.loads(zlib.decompress(base64.b64decode(view["state"].removeprefix("deflate;"))))
    grouped = [key["groupByData"] for key in state["groupBy"]["groupByKeys"]]
    assert grouped == ["null", "x"]
    axes = [(c["xaxis"]["key"], c["yaxis"]["key"]) for c in state["compareRunCharts"]]
    assert ("swept/x", "loss_held_out") in axes
    logged = tracking._client.get_run(tracking.rows()[0].run_id).data
    for chart in state["compareRunCharts"]:
        for axis in (chart["xaxis"], chart["yaxis"]):
            assert axis["key"] in (logged.metrics if axis["type"] == "METRIC" else logged.params)


# ---- drivers that die, stores that fail ----------------------------------------------------


class DyingRunner:
    """Begins the first `n_trials`, and breaks."""

    n_slots = 1

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
    return {row.key: tracking._client.get_run(row.run_id).info.status for row in tracking.rows()}


def submissions(tracking: Tracking) -> list[str]:
    experiment = tracking._client.get_experiment_by_name("bowls").experiment_id
    runs = tracking._client.search_runs([experiment], "tags.role = 'submission'")
    return sorted(run.info.status for run in runs)


def test_a_driver_that_fails_leaves_nothing_running(
    run: Callable[..., SweepRun], tracking: Tracking
) -> None:
    with pytest.raises(RuntimeError, match="the machine broke"):
        run(FIVE, DyingRunner(2))
    assert [row.state for row in tracking.rows()] == ["WAITING", "WAITING"]
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
    left = {row.key: row.run_id for row in tracking.rows() if row.state != "COMPLETE"}
    assert [spec.config["x"] for spec in dying.begun] == [0.0, 0.5]
    before = len(list(read_journal(store_dir / "sweeps" / "bowls" / "journal.log")))

    wider = "kind: bowl\nspace: {x: [-2.0, -1.0, -0.5, 0.0, 0.5, 1.0]}\n"
    assert run(wider).n_run == 4
    events = list(read_journal(store_dir / "sweeps" / "bowls" / "journal.log"))[before:]
    started = [event.key for event in events if isinstance(event, Started)]
    assert started[:2] == [spec.key for spec in dying.begun]
    rows = {row.key: row for row in tracking.rows()}
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
    for row in tracking.rows():  # as the kill leaves it
        tracking._client.update_run(row.run_id, status="RUNNING")
        tracking._client.set_tag(row.run_id, "state", "RUNNING")
    run(FIVE)
    [left] = [row for row in tracking.rows() if row.key == dying.begun[0].key]
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
    [row] = [row for row in tracking.rows() if row.key == key]
    history = tracking._client.get_metric_history(row.run_id, "loss_validation")
    assert (7, 123, 3.5) in [(m.step, m.timestamp, m.value) for m in history]
    assert row.metrics["loss_validation"] != 3.5


def test_a_forced_run_gives_the_same_runs_the_new_numbers(
    run: Callable[..., SweepRun], tracking: Tracking
) -> None:
    run(FIVE)
    before = {row.key: row for row in tracking.rows()}
    assert run(FIVE, force=True).n_run == 5
    after = {row.key: row for row in tracking.rows()}
    assert {k: row.run_id for k, row in after.items()} == {k: r.run_id for k, r in before.items()}
    for key, row in after.items():
        assert row.started_ms > before[key].started_ms
        assert row.metrics["system/wall_s"] != before[key].metrics["system/wall_s"]
        assert row.metrics["loss_validation"] == before[key].metrics["loss_validation"]


def test_a_trial_whose_staged_artifacts_were_damaged_runs_again(
    run: Callable[..., SweepRun],
    store_dir: Path,
    tracking: Tracking,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as broken:
        dead_store(broken)
        assert run(FIVE).n_unshipped > 0
    folder = store_dir / "sweeps" / "bowls"
    staged = sorted(path for path in (folder / "staged").rglob("*") if path.is_file())
    staged[0].write_bytes(b"cut")
    again = run(FIVE)
    assert (again.n_run, again.n_unshipped, again.ship_error) == (1, 0, "")
    rows = tracking.rows()
    assert [row.state for row in rows] == ["COMPLETE"] * 5
    for row in rows:
        for artifact in row.artifacts:
            tracking.fetch_artifact(row.run_id, artifact.path)
    assert not list((folder / "staged").iterdir())


def dead_store(patch: pytest.MonkeyPatch) -> None:
    """A store that cannot be opened, and a driver of little patience."""

    def refuse(*arguments: Any) -> None:
        raise ConnectionError("connection refused")

    patch.setattr(tracking_module, "Tracking", refuse)
    patch.setattr(drive, "_SHIP_TIMEOUT_S", 0.05)


def test_a_dead_store_holds_nothing_up_and_the_next_run_ships_everything(
    run: Callable[..., SweepRun], tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        dead_store(broken)
        first = run(FIVE)
    assert first.n_run == 5
    assert first.n_unshipped >= 10
    assert first.ship_error == "ConnectionError: connection refused"
    assert first.report is not None
    again = run(FIVE)
    assert (again.n_run, again.n_unshipped) == (0, 0)
    assert len(tracking.rows()) == 5


@pytest.mark.parametrize("n_written", [0, 1, 7])
def test_a_full_disk_under_the_journal_ends_the_sweep_and_the_same_command_finishes_it(
    run: Callable[..., SweepRun],
    store_dir: Path,
    tracking: Tracking,
    monkeypatch: pytest.MonkeyPatch,
    n_written: int,
) -> None:
    calls: list[int] = []
    write = journal_module._write

    def full(descriptor: int, data: bytes) -> None:
        calls.append(len(data))
        if len(calls) > n_written:
            write(descriptor, data[:9])
            raise OSError(28, "No space left on device")
        write(descriptor, data)

    path = store_dir / "sweeps" / "bowls" / "journal.log"
    with monkeypatch.context() as broken:
        broken.setattr(journal_module, "_write", full)
        with pytest.raises(DiskFull, match=f"disk full: {path}; free space"):
            run(FIVE)
    journal = Journal(path.parent)
    journal.close()
    assert journal.notices == ()  # nothing torn is left
    assert run(FIVE).n_unshipped == 0
    assert [row.state for row in tracking.rows()] == ["COMPLETE"] * 5
    assert replay(read_journal(path)).unshipped == ()


def test_a_full_disk_under_the_database_is_named_and_nothing_is_lost(
    run: Callable[..., SweepRun],
    store_dir: Path,
    tracking: Tracking,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*arguments: Any, **options: Any) -> None:
        raise DiskFull(store_dir / "mlflow.db")

    with monkeypatch.context() as broken:
        broken.setattr(Tracking, "finish_trial", full)
        with pytest.raises(DiskFull, match=f"{store_dir}/mlflow.db"):
            run(FIVE)
    again = run(FIVE)
    assert (again.n_run, again.n_unshipped) == (0, 0)
    assert [row.state for row in tracking.rows()] == ["COMPLETE"] * 5


def test_a_damaged_journal_is_said_and_the_sweep_still_finishes(
    run: Callable[..., SweepRun],
    store_dir: Path,
    tracking: Tracking,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(FIVE)
    path = store_dir / "sweeps" / "bowls" / "journal.log"
    lines = path.read_bytes().splitlines(keepends=True)
    for number in range(0, len(lines), 3):
        lines[number] = b"#" + lines[number][1:]
    path.write_bytes(b"".join(lines)[:-5])
    again = run(FIVE, console=Console(stderr=True, width=200))
    assert again.n_unshipped == 0
    assert len(tracking.rows()) == 5
    said = capsys.readouterr().err
    assert "damaged and passed over; what follows is kept" in said
    assert "the last record was cut short and is dropped" in said


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
    assert {row.run_id for row in again.rows} == {row.run_id for row in tracking.rows()}
