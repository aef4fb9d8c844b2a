"""A thread that ships the journal to the tracking store, so that no runner waits for a database.

What it could not ship stays in the journal and is shipped by the next `run`.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from sweeper.errors import UserError, one_line
from sweeper.records import Outcome, TrialSpec
from sweeper.store.artifacts import StagingArea
from sweeper.store.journal import (
    Event,
    Finished,
    Journal,
    Reported,
    Reused,
    Shipped,
    Started,
    Suggested,
)

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 20.0


class Database(Protocol):
    """What the flusher needs of the tracking store."""

    def start_trial(self, sweep: str, parent: str, spec: TrialSpec, started_ms: int) -> str:
        """Open the trial's run."""

    def report_progress(
        self, run_id: str, step: int, metrics: dict[str, float], at_ms: int
    ) -> None:
        """Log one progress report."""

    def finish_trial(
        self,
        sweep: str,
        parent: str,
        spec: TrialSpec,
        outcome: Outcome,
        staged: Path | None,
        reused_from: str = "",
    ) -> str:
        """Log the outcome and end the run."""


class Flusher:
    """Ships events in order; a failing store is retried with back-off until the flusher is closed.

    `connect()` opens the store inside the thread: opening is slow, and a sweep must not wait.
    """

    def __init__(
        self,
        connect: Callable[[], tuple[Database, str]],
        *,
        sweep: str,
        journal: Journal,
        staging: StagingArea,
    ) -> None:
        self._connect, self._sweep = connect, sweep
        self._journal, self._staging = journal, staging
        self._queue: queue.Queue[Event | None] = queue.Queue()
        self._specs: dict[str, TrialSpec] = {}
        self._run_ids: dict[str, str] = {}
        self._closing = threading.Event()
        self._give_up_at = float("inf")
        self._n_refused = 0
        self.last_error = ""
        self._thread = threading.Thread(target=self._work, name="flusher", daemon=True)

    def start(self, earlier: Iterable[Event] = ()) -> None:
        """Begin with what the journal holds unshipped from earlier drivers."""
        for event in unshipped(earlier):
            self._queue.put(event)
        self._thread.start()

    def put(self, event: Event) -> None:
        """Ship `event` after everything before it; returns at once."""
        self._queue.put(event)

    def close(self, timeout_s: float) -> int:
        """Wait until all is shipped, at most `timeout_s`; returns how many events are not."""
        self._give_up_at = time.monotonic() + timeout_s
        self._closing.set()
        self._queue.put(None)
        self._thread.join(timeout_s + 5)
        return self._n_refused + max(0, self._queue.unfinished_tasks - 1)

    def _work(self) -> None:
        opened: tuple[Database, str] | None = None
        wait_s = _FIRST_WAIT_S
        event = self._queue.get()
        while event is not None:
            try:
                opened = opened or self._connect()
                self._ship(*opened, event)
            except UserError as error:  # no later attempt would go better: pass over it
                self.last_error = str(error)
                self._n_refused += 1
            except Exception as error:  # whatever a store raises, the sweep goes on
                self.last_error = one_line(f"{type(error).__name__}: {error}", 300)
                if time.monotonic() + wait_s > self._give_up_at:
                    return
                self._wait(wait_s)
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
                continue
            wait_s = _FIRST_WAIT_S
            self._queue.task_done()
            event = self._queue.get()
        self._queue.task_done()

    def _wait(self, seconds: float) -> None:
        """Pause, cut short when the sweep comes to its end."""
        if self._closing.is_set():
            time.sleep(seconds)
        else:
            self._closing.wait(seconds)

    def _ship(self, database: Database, parent: str, event: Event) -> None:
        match event:
            case Suggested(spec=spec):
                self._specs[spec.key] = spec
            case Started(key=key, at_ms=at_ms):
                run_id = database.start_trial(self._sweep, parent, self._specs[key], at_ms)
                self._run_ids[key] = run_id
            case Reported(key=key, step=step, metrics=metrics, at_ms=at_ms):
                database.report_progress(self._run_ids[key], step, metrics, at_ms)
            case Finished(outcome=outcome):
                self._finish(database, parent, outcome)
            case Reused(spec=spec, outcome=outcome, run_id=source):
                self._specs[spec.key] = spec
                run_id = database.finish_trial(self._sweep, parent, spec, outcome, None, source)
                self._journal.append(Shipped(key=spec.key, run_id=run_id))
            case Shipped():
                pass

    def _finish(self, database: Database, parent: str, outcome: Outcome) -> None:
        folder = self._staging.folder(outcome.key)
        run_id = database.finish_trial(
            self._sweep,
            parent,
            self._specs[outcome.key],
            outcome,
            folder if outcome.artifacts else None,
        )
        self._journal.append(Shipped(key=outcome.key, run_id=run_id))
        self._staging.drop(outcome.key)


def unshipped(events: Iterable[Event]) -> list[Event]:
    """The events of trials that finished and never reached the database, in order."""
    pending: dict[str, list[Event]] = {}
    for event in events:
        match event:
            case Suggested(spec=spec):
                pending.setdefault(spec.key, [event])
            case Started(key=key) | Reported(key=key):
                pending.setdefault(key, []).append(event)
            case Finished(outcome=outcome):
                pending.setdefault(outcome.key, []).append(event)
            case Reused(spec=spec):
                pending[spec.key] = [event]
            case Shipped(key=key):
                pending.pop(key, None)
    return [
        event
        for trial in pending.values()
        if isinstance(trial[-1], Finished | Reused)
        for event in trial
    ]
