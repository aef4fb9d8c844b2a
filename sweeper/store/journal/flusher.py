"""A thread that ships the journal to the tracking store, so that no runner waits for the database.

Events that it cannot ship stay in the journal, and the next `run` ships them.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from sweeper.errors import DiskFull, SweepDeleted, UserError, one_line
from sweeper.records import Outcome, TrialSpec, now_ms
from sweeper.store.artifacts import StagingArea
from sweeper.store.journal.events import (
    Abandoned,
    Event,
    Finished,
    Reported,
    Reused,
    Shipped,
    Started,
    Suggested,
    ended_ms,
    key_of,
)
from sweeper.store.journal.journal import Journal
from sweeper.store.journal.replay import History

_FIRST_WAIT_S, _LONGEST_WAIT_S, _LONGEST_WAIT_AT_THE_END_S = 0.5, 20.0, 2.0
_POLL_S = 0.25
_MOST_REPORTS = 1000


class Database(Protocol):
    """What the flusher needs from the tracking store.

    Every call must be idempotent: a call that raised may have been executed. `UserError` (except
    `DiskFull`) means that a retry cannot help; after any other error the flusher retries.
    """

    def start_trial(self, sweep: str, parent: str, spec: TrialSpec, started_ms: int) -> str:
        """Create the trial's run or continue it; returns its id."""

    def report_progress(self, run_id: str, reports: Sequence[Reported]) -> None:
        """Log progress reports of one trial."""

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
        """Log the outcome at `step` and end the run; returns its id."""

    def abandon_trial(self, sweep: str, spec: TrialSpec, reason: str, at_ms: int) -> str:
        """End the trial's run without an outcome; returns its id, "" if there is no run."""


class Flusher:
    """Ships events in order. A failing store is retried with back-off until the flusher is closed.

    If the store refuses a trial permanently, its run is ended with the reason and its events are
    skipped. They stay in the journal, and the next driver tries again. `connect()` runs inside the
    thread: opening a store is slow, and the sweep must not wait for it.

    Attributes:
        trouble: the error of the latest attempt to ship, None if it succeeded.
        refused: by key, why the store refused the trial.
    """

    def __init__(
        self,
        connect: Callable[[], tuple[Database, str]],
        *,
        sweep: str,
        journal: Journal,
        staging: StagingArea,
        history: History | None = None,
    ) -> None:
        history = history or History()
        self._connect, self._sweep = connect, sweep
        self._journal, self._staging = journal, staging
        self._backlog: deque[Event] = deque(history.unshipped)
        self._n_in_hand = 0
        self._skipped: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._closing, self._given_up = threading.Event(), threading.Event()
        self._deadline = float("inf")
        self._specs = dict(history.specs)
        self._run_ids: dict[str, str] = {}
        self._last_steps: dict[str, int] = {}
        for report in history.reports:
            self._note_step(report)
        self._n_starts = Counter(e.key for e in history.unshipped if isinstance(e, Started))
        self.trouble: Exception | None = None
        self.refused: dict[str, str] = {}
        self._thread = threading.Thread(target=self._work, name="flusher", daemon=True)

    def start(self) -> None:
        """Start the thread. It begins with the unshipped events of earlier drivers."""
        self._thread.start()

    def put(self, event: Event) -> None:
        """Queue `event`; returns at once."""
        with self._changed:
            if isinstance(event, Started):
                self._n_starts[event.key] += 1
            self._backlog.append(event)
            self._changed.notify()

    def close(
        self, timeout_s: float, on_wait: Callable[[int, str], None] = lambda n_left, why: None
    ) -> int:
        """Wait at most `timeout_s` until everything is shipped; returns how many events are not.

        `on_wait(n_left, why)` is called several times per second. Ctrl-C and a full disk end the
        wait.
        """
        self._deadline = time.monotonic() + timeout_s
        with self._changed:
            self._closing.set()
            self._changed.notify()
        try:
            while self._thread.is_alive() and time.monotonic() < self._deadline:
                self._thread.join(min(_POLL_S, timeout_s))
                on_wait(self.n_left, self.why)
        except KeyboardInterrupt:
            pass
        self._given_up.set()
        return self.n_left + self._skipped.total()

    @property
    def n_left(self) -> int:
        """Number of events that wait to be shipped."""
        return len(self._backlog) + self._n_in_hand

    @property
    def why(self) -> str:
        """Why events are not shipped, in one line ("" if there is no problem)."""
        if self.trouble is None:
            return next(iter(self.refused.values()), "")
        if isinstance(self.trouble, UserError):
            return str(self.trouble)
        # SQLAlchemy's message continues with the statement and its parameters.
        said = str(self.trouble).partition("[SQL:")[0]
        return one_line(f"{type(self.trouble).__name__}: {said}", 300)

    # ---- the thread ----------------------------------------------------------------------

    def _work(self) -> None:
        opened: tuple[Database, str] | None = None
        wait_s = _FIRST_WAIT_S
        batch = self._next()
        while batch:
            try:
                self._journal.check()
            except UserError as taken_over:
                self.trouble = taken_over
                return
            try:
                opened = opened or self._connect()
                self._ship(*opened, batch)
            except Exception as error:  # whatever the store raises, the sweep continues
                self.trouble = error
                if not self._may_try_again(wait_s):
                    return
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
                continue
            self.trouble, wait_s = None, _FIRST_WAIT_S
            batch = self._next()

    def _next(self) -> list[Event]:
        """The next event, or all reports before the next other event; empty at the end."""
        with self._changed:
            self._n_in_hand = 0
            while not self._backlog and not self._closing.is_set():
                self._changed.wait()
            batch: list[Event] = []
            while self._backlog and len(batch) < _MOST_REPORTS:
                if batch and not (isinstance(self._backlog[0], Reported) and _is_reports(batch)):
                    break
                batch.append(self._backlog.popleft())
            self._n_in_hand = len(batch)
            return batch

    def _may_try_again(self, wait_s: float) -> bool:
        """Pause, but not longer than the sweep runs; false if it is time to give up."""
        if not self._closing.is_set():
            self._closing.wait(wait_s)
            return True
        wait_s = min(wait_s, _LONGEST_WAIT_AT_THE_END_S)
        is_late = time.monotonic() + wait_s > self._deadline
        if is_late or isinstance(self.trouble, DiskFull | SweepDeleted):
            return False
        return not self._given_up.wait(wait_s)

    def _ship(self, database: Database, parent: str, batch: list[Event]) -> None:
        by_key: dict[str, list[Event]] = {}
        for event in batch:
            by_key.setdefault(key_of(event), []).append(event)
        skipped: Counter[str] = Counter()
        for key, events in by_key.items():
            run_id = None
            if isinstance(events[0], Suggested | Started):  # a new attempt may be accepted
                self.refused.pop(key, None)
                self._skipped.pop(key, None)
            if key not in self.refused:
                run_id = self._offer(database, parent, key, events)
            if key in self.refused:
                skipped[key] += len(events)
            elif run_id is not None:
                self._note_shipped(key, run_id, events[0])
        self._skipped += skipped

    def _offer(self, database: Database, parent: str, key: str, events: list[Event]) -> str | None:
        """Ship events of one trial and note a permanent refusal; see `_ship_trial`."""
        try:
            return self._ship_trial(database, parent, key, events)
        except (DiskFull, SweepDeleted):  # not the fault of this trial
            raise
        except UserError as error:
            self.refused[key] = str(error)
            with suppress(Exception):  # if this fails, the next driver ends the run
                reason = f"not shipped: {error}"
                database.abandon_trial(self._sweep, self._specs[key], reason, now_ms())
            return None

    def _ship_trial(
        self, database: Database, parent: str, key: str, events: list[Event]
    ) -> str | None:
        """Ship one event of a trial or several reports; returns the run id at an attempt's end."""
        match events[0]:
            case Suggested(spec=spec):
                self._specs[key] = spec
            case Started(at_ms=at_ms):
                self._begin(database, parent, key, at_ms)
                self._n_starts[key] -= 1
            case Reported(at_ms=at_ms):
                run_id = self._run_ids.get(key) or self._begin(database, parent, key, at_ms)
                reports = [event for event in events if isinstance(event, Reported)]
                database.report_progress(run_id, reports)
                for report in reports:
                    self._note_step(report)
            case Finished(outcome=outcome):
                return database.finish_trial(
                    self._sweep,
                    parent,
                    self._specs[key],
                    outcome,
                    self._staging.folder(key) if outcome.artifacts else None,
                    step=self._last_steps.get(key, -1) + 1,
                )
            case Reused(spec=spec, outcome=outcome, run_id=source):
                self._specs[key] = spec
                return database.finish_trial(self._sweep, parent, spec, outcome, None, source)
            case Abandoned(reason=reason, at_ms=at_ms):
                return database.abandon_trial(self._sweep, self._specs[key], reason, at_ms)
        return None

    def _begin(self, database: Database, parent: str, key: str, at_ms: int) -> str:
        run_id = database.start_trial(self._sweep, parent, self._specs[key], at_ms)
        self._run_ids[key] = run_id
        return run_id

    def _note_shipped(self, key: str, run_id: str, end: Event) -> None:
        self._journal.append(Shipped(key=key, run_id=run_id, ended_ms=ended_ms(end) or 0))
        # The staged artifacts may already belong to the next attempt.
        if self._n_starts[key] == 0 and not isinstance(end, Abandoned):
            self._staging.drop(key)

    def _note_step(self, report: Reported) -> None:
        known = self._last_steps.get(report.key, report.step)
        self._last_steps[report.key] = max(known, report.step)


def _is_reports(batch: list[Event]) -> bool:
    return isinstance(batch[0], Reported)
