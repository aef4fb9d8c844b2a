"""Cost of logging: driver time per trial, and the longest stall of Tune's controller.

The peer logs as Ray's `MLflowLoggerCallback` does: one request a metric, on the controller, through
`MlflowClient.log_metric`. Both write the same trials to real SQLite stores in turns, and at the end
both stores must hold the same values.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.measure import Column, Table, timed
from sweeper.records import Outcome, TrialSpec, TrialState, now_ms
from sweeper.store.artifacts import StagingArea
from sweeper.store.journal import (
    Database,
    Event,
    Finished,
    Flusher,
    Journal,
    Reported,
    Started,
    Suggested,
)
from sweeper.store.location import Store, locate_store
from sweeper.store.tracking import Tracking

_COLUMNS = [
    Column("logged by", 34),
    Column("time of", 22),
    Column("median ms", 10),
    Column("longest ms", 11),
    Column("peer / ours", 12),
]


class Trial(NamedTuple):
    """One trial as its events: reports of all metrics but the last, then the outcome with all."""

    events: list[Event]
    spec: TrialSpec
    outcome: Outcome


def make_trial(number: int, n_metrics: int, n_reports: int) -> Trial:
    """The trial with that number; every metric has a different value."""
    values = {f"metric_{i:02d}": number + i / 64 for i in range(n_metrics)}
    now = now_ms()
    spec = TrialSpec(
        key=f"{number:016x}",
        kind="bench",
        kind_version=1,
        config={f"field_{i}": i / 8 for i in range(10)},
        input_digests={"source": "0" * 64},
        varied=("field_0",),
    )
    outcome = Outcome(
        key=spec.key, state=TrialState.COMPLETE, metrics=values, started_ms=now, ended_ms=now + 1
    )
    reports: list[Event] = [
        Reported(key=spec.key, step=step, metrics=values, at_ms=now + step)
        for step in range(1, n_reports + 1)
    ]
    events: list[Event] = [
        Suggested(spec=spec),
        Started(key=spec.key),
        *reports,
        Finished(outcome=outcome),
    ]
    return Trial(events, spec, outcome)


class Ours:
    """Journal and flusher on a store, set up as a driver does."""

    def __init__(self, store: Store, connect: Callable[[], tuple[Database, str]]) -> None:
        folder = store.sweep_dir("bench")
        self.journal = Journal(folder)
        self.flusher = Flusher(
            connect, sweep="bench", journal=self.journal, staging=StagingArea(folder / "staged")
        )
        self.flusher.start()

    def emit(self, event: Event) -> None:
        """What the controller does for an event."""
        self.journal.append(event)
        self.flusher.put(event)

    def close(self) -> None:
        """Wait for the store; exits if it does not receive everything."""
        if n_left := self.flusher.close(timeout_s=600):
            sys.exit(f"{n_left} events were not shipped: {self.flusher.why}")
        self.journal.close()


class Peer:
    """One request per metric, on the calling thread."""

    def __init__(self, store: Store) -> None:
        self._client = Tracking(store)._client
        self._experiment = self._client.create_experiment("bench")
        self._runs: dict[str, str] = {}

    def emit(self, event: Event) -> None:
        """What the callback does for an event."""
        match event:
            case Suggested(spec=spec):
                run = self._client.create_run(self._experiment, tags={"trial_key": spec.key})
                self._runs[spec.key] = run.info.run_id
                for name, value in spec.config.items():
                    self._client.log_param(run.info.run_id, name, value)
            case Reported(key=key, step=step, metrics=metrics):
                self._log(key, metrics, step)
            case Finished(outcome=outcome):
                self._log(outcome.key, outcome.metrics, len(outcome.metrics))
                self._client.set_terminated(self._runs[outcome.key])

    def _log(self, key: str, metrics: dict[str, float], step: int) -> None:
        for name, value in metrics.items():
            self._client.log_metric(self._runs[key], name, value, step=step)


def stored(store: Store) -> dict[str, dict[str, float]]:
    """The metrics that a store holds, by trial."""
    client = Tracking(store)._client
    experiment = client.get_experiment_by_name("bench").experiment_id
    runs = client.search_runs([experiment], "tags.trial_key LIKE '%'", max_results=10_000)
    return {
        run.data.tags["trial_key"]: {
            name: value for name, value in run.data.metrics.items() if name.startswith("metric_")
        }
        for run in runs
    }


class Stalls(NamedTuple):
    """Times on the controller, in ms: of all events of a trial, and of each event."""

    trials: list[float]
    events: list[float]

    def note(self, emit: Callable[[Event], None], trial: Trial) -> None:
        """Emit a trial and record its times."""
        spent_ms = [1000 * timed(partial(emit, event))[0] for event in trial.events]
        self.trials.append(sum(spent_ms))
        self.events.extend(spent_ms)


class HangingStore:
    """A store that never answers."""

    def __getattr__(self, name: str) -> Callable[..., str]:
        return lambda *arguments, **options: str(threading.Event().wait())


def measure(folder: Path, n_trials: int, n_metrics: int, n_reports: int) -> None:
    """Log the same trials both ways in turn, then to a store that hangs; print the table."""
    ours_store, peer_store = (locate_store(str(folder / name)) for name in ("ours", "peer"))
    tracking = Tracking(ours_store)  # so that the first trial does not wait for the migrations
    parent = tracking.open_submission("bench", "bench", {})
    ours, peer = Ours(ours_store, lambda: (tracking, parent)), Peer(peer_store)
    hanging = Ours(locate_store(str(folder / "hangs")), lambda: (HangingStore(), ""))  # type: ignore[arg-type,return-value]
    our_stalls, peer_stalls, hanging_stalls = Stalls([], []), Stalls([], []), Stalls([], [])
    flushed_ms = []
    for number in range(n_trials):
        trial = make_trial(number, n_metrics, n_reports)
        peer_stalls.note(peer.emit, trial)
        our_stalls.note(ours.emit, trial)
        begun = time.perf_counter()
        while ours.flusher.n_left:  # so that our flusher does not run while the peer is timed
            time.sleep(0.001)
        flushed_ms.append(our_stalls.trials[-1] + 1000 * (time.perf_counter() - begun))
        hanging_stalls.note(hanging.emit, trial)
    ours.close()
    if (found := stored(ours_store)) != stored(peer_store) or len(found) != n_trials:
        sys.exit("the two stores hold different values")

    table = Table(_COLUMNS)
    ratio = f"{median(peer_stalls.trials) / median(our_stalls.trials):.0f}"
    rows = [
        ("one request per metric (the peer)", "controller, per trial", peer_stalls.trials, "1"),
        ("journal and flusher", "controller, per trial", our_stalls.trials, ratio),
        ("journal, the store hangs", "controller, per trial", hanging_stalls.trials, ""),
        ("journal and flusher", "with the flusher's", flushed_ms, ""),
        ("one request per metric (the peer)", "controller, an event", peer_stalls.events, ""),
        ("journal and flusher", "controller, an event", our_stalls.events, ""),
        ("journal, the store hangs", "controller, an event", hanging_stalls.events, ""),
    ]
    for who, what, spent_ms, times in rows:
        table.row([who, what, f"{median(spent_ms):.2f}", f"{max(spent_ms):.2f}", times])


def main() -> None:
    """Parse the options, and measure in a folder that is removed afterwards."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=20, help="trials of both sides (20)")
    parser.add_argument("--metrics", type=int, default=40, help="metrics per trial (40)")
    parser.add_argument("--reports", type=int, default=1, help="progress reports per trial (1)")
    parser.add_argument("--quick", action="store_true", help="three trials, in seconds")
    chosen = parser.parse_args()
    n_trials = 3 if chosen.quick else chosen.trials
    print(f"{n_trials} trials of {chosen.metrics} metrics, {chosen.reports} reports each, SQLite")
    with tempfile.TemporaryDirectory(prefix="sweeper-bench-") as folder:
        measure(Path(folder), n_trials, chosen.metrics, chosen.reports)


if __name__ == "__main__":
    main()
