"""A store that fails: what it says, and that each write can be repeated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException, RestException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, TEMPORARILY_UNAVAILABLE

from sweeper.errors import DiskFull, UserError
from sweeper.store.journal import Reported
from sweeper.store.location import Store, locate_store
from sweeper.store.tracking import Tracking
from tests.sweeper.store.one_trial import SPEC, outcome


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
    tracking.results.client = Unreliable(tracking._client, **{method: [answer_lost, answer_lost]})

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
    [row] = tracking.results.rows()
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
    tracking.results.client = Unreliable(
        tracking._client, create_run=[executed_later, executed_later]
    )
    for _ in range(2):
        with pytest.raises(MlflowException):
            tracking.start_trial("bowls", parent, SPEC, 1000)
    kept = tracking.start_trial("bowls", parent, SPEC, 1000)
    tracking.report_progress(kept, [Reported(key="k1", step=1, metrics={"loss": 1.0}, at_ms=1)])
    late.pop()()
    assert len(tracking.results.rows()) == 2
    tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged, step=2)
    assert [row.run_id for row in tracking.results.rows()] == [kept]
    late.pop()()
    tracking.close_submission(parent, metrics={}, files=[], failed=False)
    assert [row.run_id for row in tracking.results.rows()] == [kept]
    history = tracking._client.get_metric_history(kept, "loss")
    assert [(m.step, m.value) for m in history] == [(1, 1.0), (2, 0.25)]


def test_a_run_whose_params_were_never_logged_gets_them(tracking: Tracking) -> None:
    def died(real: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        raise ConnectionError("the driver died here")

    parent = tracking.open_submission("bowls", "first", {})
    tracking.results.client = Unreliable(tracking._client, log_batch=[died])
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
    tracking.results.client = Unreliable(tracking._client, log_batch=[raising(busy)])
    with pytest.raises(MlflowException, match="locked"):
        tracking.report_progress(run_id, [Reported(key="k1", step=1, metrics={"x": 1.0})])


def test_a_server_counts_as_refusing_only_in_mlflow_s_own_words(tracking: Tracking) -> None:
    tracking.results.store = locate_store("http://127.0.0.1:9")
    reports = [Reported(key="k1", step=1, metrics={"x": 1.0})]
    words = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Run 'r' not found"}
    proxy = MlflowException("failed with error code 404", RESOURCE_DOES_NOT_EXIST)
    assert proxy.error_code == words["error_code"]
    errors = [raising(RestException(words)), raising(proxy)]
    tracking.results.client = Unreliable(tracking._client, log_batch=errors)
    with pytest.raises(UserError, match="not found"):
        tracking.report_progress("r", reports)
    with pytest.raises(MlflowException, match="404"):
        tracking.report_progress("r", reports)


def test_a_full_disk_is_named_where_the_database_lies(
    tracking: Tracking, staged: Path, store_dir: Path
) -> None:
    parent = tracking.open_submission("bowls", "first", {})
    tracking.start_trial("bowls", parent, SPEC, 1000)
    full = MlflowException("(sqlite3.OperationalError) database or disk is full")
    tracking.results.client = Unreliable(tracking._client, log_batch=[raising(full)])
    with pytest.raises(DiskFull, match=f"disk full: .*{store_dir}"):
        tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged)


def test_half_an_artifact_is_replaced_by_the_whole_one(
    tracking: Tracking, staged: Path, store_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:7])
        raise OSError(28, "No space left on device")

    parent = tracking.open_submission("bowls", "first", {})
    with monkeypatch.context() as patched:
        patched.setattr("shutil.copyfile", half)
        with pytest.raises(DiskFull, match=f"disk full: .*{store_dir}"):
            tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged)
    assert tracking.results.rows()[0].artifacts == ()  # none is recorded before all are there
    assert not list((store_dir / "artifacts").rglob("*atoms.csv*"))
    run_id = tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged)
    assert tracking.results.fetch_artifact(run_id, "atoms.csv").read_text() == "atom,token\n0,the\n"


def test_half_an_artifact_on_a_server_is_replaced_by_the_whole_one(
    tracking: Tracking, staged: Path, store_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(real: Callable[..., Any], run_id: str, path: str, folder: str | None) -> None:
        real(run_id, path, folder)
        [stored] = (store_dir / "artifacts").rglob("atoms.csv")
        stored.write_text("atom,to")
        raise ConnectionError("cut off")

    monkeypatch.setattr(Store, "is_folder", False)
    parent = tracking.open_submission("bowls", "first", {})
    tracking.results.client = Unreliable(tracking._client, log_artifact=[half])
    with pytest.raises(ConnectionError):
        tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged)
    assert tracking.results.rows()[0].artifacts == ()  # none is recorded before all are there
    run_id = tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged)
    assert tracking.results.fetch_artifact(run_id, "atoms.csv").read_text() == "atom,token\n0,the\n"
