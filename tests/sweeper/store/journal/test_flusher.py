from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sweeper.errors import DiskFull, UserError
from sweeper.records import Artifact, Outcome, TrialSpec, TrialState
from sweeper.store.artifacts import StagingArea
from sweeper.store.journal import (
    Abandoned,
    Event,
    Finished,
    Flusher,
    Journal,
    Reported,
    Shipped,
    Started,
    Suggested,
    replay,
)
from sweeper.store.journal import flusher as flusher_module

DEAD = 10**9


class FakeDatabase:
    """A database that records its calls, and says no to its first `n_refusals`.

    With `executes`, what it says no to has happened all the same.
    """

    def __init__(self, n_refusals: int = 0, *, executes: bool = False) -> None:
        self.n_refusals, self.executes = n_refusals, executes
        self.calls: list[str] = []

    def _call(self, text: str) -> str:
        if not self.n_refusals or self.executes:
            self.calls.append(text)
        if self.n_refusals:
            self.n_refusals -= 1
            raise ConnectionError("no answer")
        return f"run-{text.split()[1]}"

    def start_trial(self, sweep: str, parent: str, spec: TrialSpec, started_ms: int) -> str:
        return self._call(f"start {spec.key}")

    def report_progress(self, run_id: str, reports: Sequence[Reported]) -> None:
        self._call(f"report {run_id} {','.join(str(report.step) for report in reports)}")

    def finish_trial(
        self,
        sweep: str,
        parent: str,
        spec: TrialSpec,
        outcome: Outcome,
        staged: Path | None,
        reused_from: str = "",
        *,
        step: int = 0,
    ) -> str:
        return self._call(f"finish {spec.key} {step}")

    def abandon_trial(self, sweep: str, spec: TrialSpec, reason: str, at_ms: int) -> str:
        return self._call(f"abandon {spec.key} {reason}")


def story(key: str, n_reports: int = 0) -> list[Event]:
    spec = TrialSpec(key=key, kind="bowl", kind_version=1, config={}, input_digests={})
    outcome = Outcome(key=key, state=TrialState.COMPLETE, ended_ms=5)
    return [
        Suggested(spec=spec),
        Started(key=key),
        *(Reported(key=key, step=step, metrics={"x": 1.0}) for step in range(1, n_reports + 1)),
        Finished(outcome=outcome),
    ]


class Bench:
    """A journal and what is shipped from it, driver after driver."""

    def __init__(self, folder: Path) -> None:
        self.journal, self.staging = Journal(folder), StagingArea(folder / "staged")

    def flusher(self, database: Any, connect: Callable[[], Any] | None = None) -> Flusher:
        return Flusher(
            connect or (lambda: (database, "parent")),
            sweep="bowls",
            journal=self.journal,
            staging=self.staging,
            history=replay(self.journal.events()),
        )

    def flush(self, database: Any, timeout_s: float = 10.0) -> int:
        """What a driver ships that finds the journal like this; returns how much it could not."""
        flusher = self.flusher(database)
        flusher.start()
        return flusher.close(timeout_s)

    def shipped(self) -> list[tuple[str, str]]:
        return [(e.key, e.run_id) for e in self.journal.events() if isinstance(e, Shipped)]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flusher_module, "_FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(flusher_module, "_POLL_S", 0.01)


@pytest.mark.parametrize("n_refusals", [0, 1, 5])
def test_everything_is_shipped_once_and_in_order(bench: Bench, n_refusals: int) -> None:
    bench.journal.append(*story("a"), *story("b"))
    database = FakeDatabase(n_refusals)
    assert bench.flush(database) == 0
    assert database.calls == ["start a", "finish a 0", "start b", "finish b 0"]
    assert bench.shipped() == [("a", "run-a"), ("b", "run-b")]
    assert bench.flush(FakeDatabase(n_refusals=DEAD), timeout_s=10) == 0


@pytest.mark.parametrize("n_refusals", [1, 2, 7])
def test_what_was_executed_without_an_answer_is_asked_for_again(
    bench: Bench, n_refusals: int
) -> None:
    bench.journal.append(*story("a", n_reports=2))
    database = FakeDatabase(n_refusals, executes=True)
    assert bench.flush(database) == 0
    assert list(dict.fromkeys(database.calls)) == ["start a", "report run-a 1,2", "finish a 3"]
    assert bench.shipped() == [("a", "run-a")]


def test_a_dead_store_leaves_the_events_in_the_journal_for_the_next_driver(bench: Bench) -> None:
    bench.journal.append(*story("a"))
    assert bench.flush(FakeDatabase(DEAD), timeout_s=0.05) == 2
    alive = FakeDatabase()
    assert bench.flush(alive) == 0
    assert alive.calls == ["start a", "finish a 0"]


def test_what_a_trial_in_flight_reported_is_shipped_by_the_next_driver(bench: Bench) -> None:
    bench.journal.append(*story("a", n_reports=2)[:-1])
    database = FakeDatabase()
    assert bench.flush(database) == 0
    assert database.calls == ["start a", "report run-a 1,2"]
    assert bench.shipped() == []


def test_reports_are_shipped_together_a_trial_and_never_past_another_event(bench: Bench) -> None:
    one, two = story("a", n_reports=2), story("b", n_reports=1)
    flusher, database = bench.flusher(database := FakeDatabase()), database
    reports = [one[2], two[2], one[3]]
    for event in [*one[:2], *two[:2], *reports, one[4], two[3]]:
        bench.journal.append(event)
        flusher.put(event)
    flusher.start()
    assert flusher.close(10) == 0
    assert database.calls == [
        *("start a", "start b"),
        *("report run-a 1,2", "report run-b 1"),
        *("finish a 3", "finish b 2"),
    ]


def test_results_lie_behind_every_step_that_any_attempt_reported(bench: Bench) -> None:
    again = [*story("a", n_reports=2)[:-1], Finished(outcome=Outcome(key="a", state="FAILED"))]
    bench.journal.append(*story("a", n_reports=7), *again)
    database = FakeDatabase()
    assert bench.flush(database) == 0
    assert database.calls[-1] == "finish a 8"


def test_staged_artifacts_are_dropped_only_after_shipping(bench: Bench) -> None:
    (bench.staging.begin("a") / "x.csv").write_text("1")
    bench.staging.commit("a")
    bench.journal.append(*story("a"))
    bench.flush(FakeDatabase(DEAD), timeout_s=0.05)
    assert bench.staging.folder("a").exists()
    bench.flush(FakeDatabase())
    assert not bench.staging.folder("a").exists()


def test_shipping_an_attempt_leaves_alone_what_the_next_one_stages(bench: Bench) -> None:
    flusher = bench.flusher(FakeDatabase())
    for event in [*story("a"), Started(key="a")]:
        bench.journal.append(event)
        flusher.put(event)
    partial = bench.staging.begin("a")
    bench.staging.commit("a")
    partial = bench.staging.begin("a")
    flusher.start()
    assert flusher.close(10) == 0
    assert bench.staging.folder("a").exists()
    assert partial.exists()


class ChoosyDatabase(FakeDatabase):
    """A database that takes no outcome of trial a, for good."""

    def _call(self, text: str) -> str:
        if text.startswith("finish a"):
            raise UserError("artifact 'x.csv' is missing")
        return super()._call(text)


def test_a_trial_that_is_refused_is_ended_with_the_reason_and_tried_by_the_next_driver(
    bench: Bench,
) -> None:
    bench.journal.append(*story("a"), *story("b"))
    database = ChoosyDatabase()
    assert bench.flush(database) == 1
    assert database.calls == [
        "start a",
        "abandon a not shipped: artifact 'x.csv' is missing",
        *("start b", "finish b 0"),
    ]
    assert bench.shipped() == [("b", "run-b")]
    alive = FakeDatabase()
    assert bench.flush(alive) == 0
    assert alive.calls == ["start a", "finish a 0"]


def test_the_reason_of_a_refusal_is_told(bench: Bench) -> None:
    bench.journal.append(*story("a"))
    flusher = bench.flusher(ChoosyDatabase())
    flusher.start()
    assert flusher.close(10) == 1
    assert flusher.why == "artifact 'x.csv' is missing"
    assert flusher.trouble is None


def test_another_attempt_at_a_refused_trial_is_shipped(bench: Bench) -> None:
    class Once(ChoosyDatabase):
        def _call(self, text: str) -> str:
            if self.calls.count("start a") == 2:
                return FakeDatabase._call(self, text)
            return super()._call(text)

    flusher = bench.flusher(database := Once())
    for event in [*story("a"), *story("a")]:
        flusher.put(event)
    flusher.start()
    assert flusher.close(10) == 0
    assert [call.split()[0] for call in database.calls] == ["start", "abandon", "start", "finish"]
    assert flusher.refused == {}


@pytest.mark.parametrize(
    "problem", [UserError("the database is locked"), DiskFull("x"), ConnectionError("refused")]
)
def test_whatever_keeps_the_store_from_opening_is_tried_again(
    bench: Bench, problem: Exception
) -> None:
    database, problems, opened = FakeDatabase(), [problem, problem], threading.Event()

    def connect() -> tuple[FakeDatabase, str]:
        if problems:
            raise problems.pop()
        opened.set()
        return database, "parent"

    bench.journal.append(*story("a"))
    flusher = bench.flusher(database, connect)
    flusher.start()
    opened.wait()  # before the end: a full disk is not waited for then
    assert flusher.close(10) == 0
    assert database.calls == ["start a", "finish a 0"]


def test_a_disk_that_is_full_is_retried_until_the_end_and_then_given_up_at_once(
    bench: Bench,
) -> None:
    class Full(FakeDatabase):
        def _call(self, text: str) -> str:
            raise DiskFull("results/mlflow.db")

    bench.journal.append(*story("a"))
    flusher = bench.flusher(Full())
    flusher.start()
    assert flusher.close(timeout_s=600) == 2
    assert isinstance(flusher.trouble, DiskFull)


def test_an_abandoned_attempt_ends_its_run_and_the_next_goes_on_with_it(bench: Bench) -> None:
    left = Abandoned(key="a", reason="the worker died", at_ms=3)
    flusher = bench.flusher(database := FakeDatabase())
    for event in [*story("a")[:2], left, *story("a")]:
        bench.journal.append(event)
        flusher.put(event)
    flusher.start()
    assert flusher.close(10) == 0
    assert database.calls == ["start a", "abandon a the worker died", "start a", "finish a 0"]
    assert bench.shipped() == [("a", "run-a"), ("a", "run-a")]
    assert replay(bench.journal.events()).unshipped == ()


class HangingDatabase(FakeDatabase):
    """A database that does not answer until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.called, self.release = threading.Event(), threading.Event()

    def _call(self, text: str) -> str:
        self.called.set()
        self.release.wait()
        return super()._call(text)


def test_the_user_is_told_what_is_left_and_can_end_the_wait(bench: Bench) -> None:
    bench.journal.append(*story("a", n_reports=3))
    flusher, told = bench.flusher(database := HangingDatabase()), []
    flusher.start()
    database.called.wait()

    def on_wait(n_left: int, why: str) -> None:
        told.append((n_left, why))
        raise KeyboardInterrupt

    assert flusher.close(timeout_s=600, on_wait=on_wait) == 5
    assert told == [(5, "")]
    database.release.set()


def test_nothing_is_written_to_a_journal_that_was_closed_meanwhile(bench: Bench) -> None:
    bench.journal.append(*story("a"))
    flusher = bench.flusher(database := HangingDatabase())
    flusher.start()
    database.called.wait()
    assert flusher.close(timeout_s=0.01) == 2
    bench.journal.close()
    database.release.set()
    flusher._thread.join()
    assert database.calls == ["start a", "finish a 0"]
    assert bench.shipped() == []
    assert replay(bench.journal.events()).unshipped


def test_a_report_whose_start_was_lost_from_the_journal_is_shipped(bench: Bench) -> None:
    suggested, _, report, finished = story("a", n_reports=1)
    bench.journal.append(suggested, report, finished)
    database = FakeDatabase()
    assert bench.flush(database) == 0
    assert database.calls == ["start a", "report run-a 1", "finish a 2"]


def test_artifacts_are_shipped_from_where_they_are_staged(bench: Bench) -> None:
    folders: list[Path | None] = []

    class Taking(FakeDatabase):
        def finish_trial(self, *arguments: Any, step: int = 0) -> str:  # type: ignore[override]
            folders.append(arguments[4])
            return "run"

    with_artifact = Outcome(
        key="b",
        state=TrialState.COMPLETE,
        artifacts=(Artifact(path="x.csv", sha256="0", n_bytes=1),),
    )
    bench.journal.append(*story("a"), *story("b")[:-1], Finished(outcome=with_artifact))
    assert bench.flush(Taking()) == 0
    assert folders == [None, bench.staging.folder("b")]
