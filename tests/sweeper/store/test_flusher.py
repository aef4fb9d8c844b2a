from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sweeper.errors import UserError
from sweeper.records import Outcome, TrialSpec, TrialState
from sweeper.store import flusher as flusher_module
from sweeper.store.artifacts import StagingArea
from sweeper.store.flusher import Flusher
from sweeper.store.journal import Event, Finished, Journal, Shipped, Started, Suggested


class FlakyDatabase:
    """A database that refuses its first `n_refusals` calls."""

    def __init__(self, n_refusals: int = 0) -> None:
        self.n_refusals = n_refusals
        self.calls: list[str] = []

    def _call(self, text: str) -> str:
        if self.n_refusals:
            self.n_refusals -= 1
            raise ConnectionError("no answer")
        self.calls.append(text)
        return f"run-{text.split()[-1]}"

    def start_trial(self, sweep: str, parent: str, spec: TrialSpec, started_ms: int) -> str:
        return self._call(f"start {spec.key}")

    def report_progress(self, run_id: str, step: int, metrics: Any, at_ms: int) -> None:
        self._call(f"report {run_id}")

    def finish_trial(
        self,
        sweep: str,
        parent: str,
        spec: TrialSpec,
        outcome: Outcome,
        staged: Path | None,
        reused_from: str = "",
    ) -> str:
        return self._call(f"finish {spec.key}")


def story(key: str) -> list[Event]:
    spec = TrialSpec(key=key, kind="bowl", kind_version=1, config={}, input_digests={})
    outcome = Outcome(key=key, state=TrialState.COMPLETE)
    return [Suggested(spec=spec), Started(key=key), Finished(outcome=outcome)]


def flush(database: FlakyDatabase, journal: Journal, folder: Path, timeout_s: float) -> int:
    flusher = Flusher(
        lambda: (database, "parent"),
        sweep="bowls",
        journal=journal,
        staging=StagingArea(folder / "staged"),
    )
    flusher.start(list(journal.events()))
    return flusher.close(timeout_s)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flusher_module, "_FIRST_WAIT_S", 0.001)


@pytest.mark.parametrize("n_refusals", [0, 1, 5])
def test_everything_is_shipped_once_and_in_order(tmp_path: Path, n_refusals: int) -> None:
    journal, database = Journal(tmp_path), FlakyDatabase(n_refusals)
    for event in [*story("a"), *story("b")]:
        journal.append(event)
    assert flush(database, journal, tmp_path, timeout_s=10) == 0
    assert database.calls == ["start a", "finish a", "start b", "finish b"]
    shipped = [event for event in journal.events() if isinstance(event, Shipped)]
    assert [(event.key, event.run_id) for event in shipped] == [("a", "run-a"), ("b", "run-b")]
    assert flush(FlakyDatabase(), journal, tmp_path, timeout_s=10) == 0


def test_a_dead_store_leaves_the_events_in_the_journal_for_the_next_driver(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for event in story("a"):
        journal.append(event)
    assert flush(FlakyDatabase(n_refusals=10**9), journal, tmp_path, timeout_s=0.05) == 2
    alive = FlakyDatabase()
    assert flush(alive, journal, tmp_path, timeout_s=10) == 0
    assert alive.calls == ["start a", "finish a"]


def test_staged_artifacts_are_dropped_only_after_shipping(tmp_path: Path) -> None:
    journal, staging = Journal(tmp_path), StagingArea(tmp_path / "staged")
    (staging.begin("a") / "x.csv").write_text("1")
    staging.commit("a")
    for event in story("a"):
        journal.append(event)
    flush(FlakyDatabase(n_refusals=10**9), journal, tmp_path, timeout_s=0.05)
    assert staging.folder("a").exists()
    flush(FlakyDatabase(), journal, tmp_path, timeout_s=10)
    assert not staging.folder("a").exists()


def test_an_event_that_can_never_be_shipped_does_not_hold_up_the_others(tmp_path: Path) -> None:
    class Choosy(FlakyDatabase):
        def _call(self, text: str) -> str:
            if text == "finish a":
                raise UserError("artifact 'x.csv' is missing")
            return super()._call(text)

    journal, database = Journal(tmp_path), Choosy()
    for event in [*story("a"), *story("b")]:
        journal.append(event)
    assert flush(database, journal, tmp_path, timeout_s=10) == 1
    assert database.calls == ["start a", "start b", "finish b"]
