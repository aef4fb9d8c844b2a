from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException, RestException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, TEMPORARILY_UNAVAILABLE

from sweeper.errors import DiskFull, UserError
from sweeper.records import Outcome, TrialSpec, TrialState
from sweeper.store.artifacts import manifest
from sweeper.store.journal import Reported
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


def test_a_submission_of_another_store_folder_is_left_alone(
    tracking: Tracking, store_dir: Path
) -> None:
    running = tracking.open_submission("bowls", "first", {"driver_store": "/elsewhere"})
    assert tracking.abandon_submissions("bowls") == 0
    assert tracking._client.get_run(running).info.status == "RUNNING"


# ---- several attempts at one trial ---------------------------------------------------------


def test_of_several_attempts_the_last_one_s_numbers_count(tracking: Tracking, staged: Path) -> None:
    parent = tracking.open_submission("bowls", "first", {})
    long = [Reported(key="k1", step=n, metrics={"loss": 9.0, "gap": 1.0}, at_ms=n) for n in (1, 5)]
    begun = tracking.start_trial("bowls", parent, SPEC, 1000)
    tracking.report_progress(begun, long)
    tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged, step=6)
    (staged / "atoms.csv").rename(staged / "codes.csv")
    short = outcome(staged, metrics={"loss": 0.125}, started_ms=5000, ended_ms=6000)
    tracking.start_trial("bowls", parent, SPEC, 5000)
    assert tracking.rows()[0].artifacts == ()
    tracking.report_progress(begun, [Reported(key="k1", step=1, metrics={"loss": 3.0}, at_ms=5500)])
    assert tracking.finish_trial("bowls", parent, SPEC, short, staged, step=6) == begun
    [row] = tracking.rows()
    assert row.metrics == {"loss": 0.125}
    assert [artifact.path for artifact in row.artifacts] == ["codes.csv"]
    assert (row.started_ms, row.ended_ms) == (5000, 6000)


def test_reports_are_stored_once_with_their_steps_and_times(tracking: Tracking) -> None:
    parent = tracking.open_submission("bowls", "first", {})
    run_id = tracking.start_trial("bowls", parent, SPEC, 1000)
    reports = [
        Reported(key="k1", step=n, metrics={f"m{i}": n + i / 64 for i in range(40)}, at_ms=1000 + n)
        for n in range(30)  # more values than MLflow takes in one call
    ]
    for _ in range(2):
        tracking.report_progress(run_id, reports)
    for i in (0, 39):
        history = tracking._client.get_metric_history(run_id, f"m{i}")
        assert [(m.step, m.timestamp, m.value) for m in history] == [
            (n, 1000 + n, n + i / 64) for n in range(30)
        ]


def test_an_abandoned_trial_waits_and_its_run_is_killed(tracking: Tracking) -> None:
    parent = tracking.open_submission("bowls", "first", {})
    run_id = tracking.start_trial("bowls", parent, SPEC, 1000)
    assert tracking.abandon_trial("bowls", SPEC, "its driver ended before it did", 2000) == run_id
    [row] = tracking.rows()
    assert (row.state, row.error) == ("WAITING", "its driver ended before it did")
    assert tracking._client.get_run(run_id).info.status == "KILLED"
    assert tracking.start_trial("bowls", parent, SPEC, 3000) == run_id
    assert (tracking.rows()[0].state, tracking.rows()[0].error) == ("RUNNING", "")


def test_a_trial_without_a_run_needs_none_to_be_abandoned(tracking: Tracking) -> None:
    assert tracking.abandon_trial("bowls", SPEC, "gone", 2000) == ""


def test_a_trial_that_another_driver_works_on_is_not_abandoned(tracking: Tracking) -> None:
    parent = tracking.open_submission("bowls", "first", {})
    run_id = tracking.start_trial("bowls", parent, SPEC, 1000)
    tracking._client.set_tag(run_id, "driver_host", "elsewhere")
    assert tracking.abandon_trial("bowls", SPEC, "gone", 2000) == run_id
    assert tracking.rows()[0].state is TrialState.RUNNING


# ---- a store that fails --------------------------------------------------------------------


class Unreliable:
    """MLflow's client, with `mishaps`: by method, what happens instead of the next calls."""

    def __init__(self, client: Any, **mishaps: list[Callable[..., Any]]) -> None:
        self.client, self.mishaps = client, mishaps

    def __getattr__(self, name: str) -> Any:
        real = getattr(self.client, name)

        def call(*arguments: Any, **options: Any) -> Any:
            if mishaps := self.mishaps.get(name):
                return mishaps.pop(0)(real, *arguments, **options)
            return real(*arguments, **options)

        return call


def answer_lost(real: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Executed, but the answer does not arrive."""
    real(*arguments, **options)
    raise MlflowException("API request failed with timeout exception")


WRITES = ("create_run", "log_batch", "update_run", "log_artifact", "set_terminated")


@pytest.mark.parametrize("method", [*WRITES, "create_experiment"])
def test_a_write_that_was_executed_without_an_answer_can_be_repeated(
    tracking: Tracking, staged: Path, method: str
) -> None:
    parent = "" if method == "create_experiment" else tracking.open_submission("bowls", "1st", {})
    tracking._client = Unreliable(tracking._client, **{method: [answer_lost, answer_lost]})

    def again(write: Callable[[], Any]) -> Any:
        for _ in range(3):
            try:
                return write()
            except MlflowException:
                continue
        raise AssertionError("refused three times")

    for _ in range(2):  # another driver goes on with the same trial
        again(lambda: tracking.start_trial("bowls", parent, SPEC, 1000))
    again(lambda: tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged))
    [row] = tracking.rows()
    assert (row.state, row.metrics["loss"], row.params) == ("COMPLETE", 0.25, SPEC.config)
    history = tracking._client.get_metric_history(row.run_id, "loss")
    assert len(history) == 1
    assert tracking._client.get_run(row.run_id).data.metrics["swept/x"] == 0.1


def test_runs_that_a_slow_server_makes_too_late_are_dropped(
    tracking: Tracking, staged: Path
) -> None:
    late: list[Callable[[], Any]] = []

    def executed_later(real: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        late.append(lambda: real(*arguments, **options))
        raise MlflowException("API request failed with timeout exception")

    parent = tracking.open_submission("bowls", "first", {})
    tracking._client = Unreliable(tracking._client, create_run=[executed_later, executed_later])
    for _ in range(2):
        with pytest.raises(MlflowException):
            tracking.start_trial("bowls", parent, SPEC, 1000)
    kept = tracking.start_trial("bowls", parent, SPEC, 1000)
    tracking.report_progress(kept, [Reported(key="k1", step=1, metrics={"loss": 1.0}, at_ms=1)])
    late.pop()()
    assert len(tracking.rows()) == 2
    tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged, step=2)
    assert [row.run_id for row in tracking.rows()] == [kept]
    late.pop()()
    tracking.close_submission(parent, metrics={}, files=[], failed=False)
    assert [row.run_id for row in tracking.rows()] == [kept]
    history = tracking._client.get_metric_history(kept, "loss")
    assert [(m.step, m.value) for m in history] == [(1, 1.0), (2, 0.25)]


def test_a_run_whose_params_were_never_logged_gets_them(tracking: Tracking) -> None:
    def died(real: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        raise ConnectionError("the driver died here")

    parent = tracking.open_submission("bowls", "first", {})
    tracking._client = Unreliable(tracking._client, log_batch=[died])
    with pytest.raises(ConnectionError):
        tracking.start_trial("bowls", parent, SPEC, 1000)
    run_id = tracking.start_trial("bowls", parent, SPEC, 1000)
    data = tracking._client.get_run(run_id).data
    assert data.params.keys() == SPEC.config.keys()
    assert data.metrics == {"swept/x": 0.1}


def raising(error: Exception) -> Callable[..., Any]:
    def call(real: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        raise error

    return call


def test_what_the_store_refuses_for_good_is_told_from_what_may_pass(tracking: Tracking) -> None:
    parent = tracking.open_submission("bowls", "first", {})
    run_id = tracking.start_trial("bowls", parent, SPEC, 1000)
    bad = [Reported(key="k1", step=1, metrics={"no\nname": 1.0})]
    with pytest.raises(UserError, match=r"the store refuses it: .*Invalid value"):
        tracking.report_progress(run_id, bad)
    busy = MlflowException("(sqlite3.OperationalError) database is locked", TEMPORARILY_UNAVAILABLE)
    tracking._client = Unreliable(tracking._client, log_batch=[raising(busy)])
    with pytest.raises(MlflowException, match="locked"):
        tracking.report_progress(run_id, [Reported(key="k1", step=1, metrics={"x": 1.0})])


def test_a_server_counts_as_refusing_only_in_mlflow_s_own_words(tracking: Tracking) -> None:
    tracking.store = locate_store("http://127.0.0.1:9")
    reports = [Reported(key="k1", step=1, metrics={"x": 1.0})]
    words = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Run 'r' not found"}
    proxy = MlflowException("failed with error code 404", RESOURCE_DOES_NOT_EXIST)
    assert proxy.error_code == words["error_code"]
    errors = [raising(RestException(words)), raising(proxy)]
    tracking._client = Unreliable(tracking._client, log_batch=errors)
    with pytest.raises(UserError, match="not found"):
        tracking.report_progress("r", reports)
    with pytest.raises(MlflowException, match="404"):
        tracking.report_progress("r", reports)


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("log_batch", MlflowException("(sqlite3.OperationalError) database or disk is full")),
        ("log_artifact", OSError(28, "No space left on device")),
    ],
)
def test_a_full_disk_is_named(
    tracking: Tracking, staged: Path, store_dir: Path, method: str, error: Exception
) -> None:
    parent = tracking.open_submission("bowls", "first", {})
    tracking.start_trial("bowls", parent, SPEC, 1000)
    tracking._client = Unreliable(tracking._client, **{method: [raising(error)]})
    with pytest.raises(DiskFull, match=f"disk full: .*{store_dir}"):
        tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged)


def test_half_an_artifact_is_replaced_by_the_whole_one(
    tracking: Tracking, staged: Path, store_dir: Path
) -> None:
    def half(real: Callable[..., Any], run_id: str, path: str, folder: str | None) -> None:
        real(run_id, path, folder)
        [stored] = (store_dir / "artifacts").rglob("atoms.csv")
        stored.write_text("atom,to")
        raise ConnectionError("cut off")

    parent = tracking.open_submission("bowls", "first", {})
    tracking._client = Unreliable(tracking._client, log_artifact=[half])
    with pytest.raises(ConnectionError):
        tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged)
    assert tracking.rows()[0].artifacts == ()  # none is recorded before all are there
    run_id = tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged)
    assert tracking.fetch_artifact(run_id, "atoms.csv").read_text() == "atom,token\n0,the\n"


def test_an_artifact_in_a_folder_has_a_place_on_this_machine(
    tracking: Tracking, staged: Path
) -> None:
    parent = tracking.open_submission("bowls", "first", {})
    run_id = tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged)
    found = tracking.artifact_file(run_id, "atoms.csv")
    assert found is not None
    assert found.read_bytes() == (staged / "atoms.csv").read_bytes()
    assert tracking.artifact_file(run_id, "other") is None
    assert tracking.artifact_file("no-such-run", "atoms.csv") is None
