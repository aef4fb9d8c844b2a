"""What a reader sees while drivers write: trials as a whole, and no lock that holds anyone up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from sweeper.records import Outcome, TrialSpec, TrialState
from sweeper.store.index import read_index
from sweeper.store.location import Store
from sweeper.store.results_table import query_database
from sweeper.store.sql import SqlReader
from sweeper.store.sql.database import open_database
from sweeper.store.tracking import Tracking

N_DRIVERS, N_TRIALS, N_METRICS = 8, 2, 12
METRICS = {f"metric_{number}": float(number) for number in range(N_METRICS)}


def write_trials(tracking: Tracking, sweep: str) -> None:
    parent = tracking.open_submission(sweep, "", {})
    for number in range(N_TRIALS):
        spec = TrialSpec(
            key=f"{sweep}-{number}",
            kind="bowl",
            kind_version=1,
            config={"x": number},
            input_digests={},
            varied=("x",),
        )
        outcome = Outcome(
            key=spec.key,
            state=TrialState.COMPLETE,
            metrics=METRICS,
            facts={"said": "so"},
            started_ms=1000,
            ended_ms=2000,
        )
        tracking.start_trial(sweep, parent, spec, 1000)
        tracking.finish_trial(sweep, parent, spec, outcome, None)


def complete_trials(store: Store) -> set[str]:
    """Keys of the complete trials; each must be whole to every reader."""
    for row in SqlReader(store).rows():
        if row.state is TrialState.COMPLETE:
            assert row.metrics == METRICS
            assert (row.started_ms, row.ended_ms, row.facts) == (1000, 2000, {"said": "so"})
    with open_database(store) as database:
        found = query_database(database, "select * from trials where state = 'COMPLETE'")
    if len(found):
        assert (found[[*METRICS]] == [*METRICS.values()]).all(axis=None)
        assert (found["duration_s"] == 1).all()
    assert all(g.ended_ms == 2000 for g in read_index(store) if g.state is TrialState.COMPLETE)
    return set(found["key"])


@pytest.mark.parametrize("step", ["log_batch", "_log_metrics", "_set_tags", "update_run_info"])
def test_between_the_writes_of_a_trial_it_is_whole_or_running(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    seen: list[set[str]] = []
    write: Callable[..., Any] = getattr(SqlAlchemyStore, step)

    def watched(self: SqlAlchemyStore, *arguments: Any, **options: Any) -> Any:
        if step != "_set_tags":  # called within a transaction
            seen.append(complete_trials(tracking.store))
        done = write(self, *arguments, **options)
        seen.append(complete_trials(tracking.store))
        return done

    monkeypatch.setattr(SqlAlchemyStore, step, watched)
    write_trials(tracking, "watched")
    assert seen
    assert complete_trials(tracking.store) == {"watched-0", "watched-1"}


def test_readers_and_eight_drivers_do_not_wait_for_each_other(tracking: Tracking) -> None:
    ended = threading.Event()
    with open_database(tracking.store) as held:  # a reader that stays open throughout
        n_before = held.select("SELECT COUNT(*) FROM runs")
        with ThreadPoolExecutor(N_DRIVERS + 1) as pool:
            reading = pool.submit(read_until, ended, tracking.store)
            drivers = [
                pool.submit(write_trials, Tracking(tracking.store), f"sweep{number}")
                for number in range(N_DRIVERS)
            ]
            try:
                for driver in drivers:
                    driver.result()
            finally:
                ended.set()
            assert reading.result() > 0
        assert held.select("SELECT COUNT(*) FROM runs") == n_before
    assert len(complete_trials(tracking.store)) == N_DRIVERS * N_TRIALS


def read_until(ended: threading.Event, store: Store) -> int:
    """How often the store was read."""
    n_read = 0
    while not ended.is_set():
        complete_trials(store)
        n_read += 1
    return n_read
