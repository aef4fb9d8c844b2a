"""The trials of a feed as attempts: limited, tried again, and started while there is budget.

The feed knows what is to be run, a runner where; here it is decided whether. A trial whose worker
died is tried again from its checkpoint; one that its user interrupted is left for the next driver.
All calls come from one thread, the runner's controller.
"""

from __future__ import annotations

import re
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from sweeper.declare.sweep_file import Limits
from sweeper.records import Outcome, TrialSpec, TrialState, now_ms
from sweeper.run.driver.budget import Spent, over_budget
from sweeper.run.driver.feed import TrialFeed
from sweeper.run.driver.interrupts import Interrupts
from sweeper.store.journal import Abandoned, Event

EXIT_TRIAL_FAILED, EXIT_OVER_BUDGET = 1, 4
_FIRST_BACK_OFF_S, _LONGEST_BACK_OFF_S = 2.0, 60.0


class Ending(NamedTuple):
    """Why a sweep ended before its time and how to go on; exit code 0 if it did not."""

    exit_code: int = 0
    why: str = ""


class Attempts:
    """Gives a runner the trials that may start now, and receives their outcomes.

    `gpu` is what a trial holds; `spent` what earlier drivers spent on the sweep. Checkpoints of a
    trial lie in `checkpoint_root / key` until its outcome is in the journal.

    Attributes:
        say: prints a line for the user.
    """

    def __init__(
        self,
        feed: TrialFeed,
        limits: Limits,
        *,
        gpu: float = 0.0,
        spent: Spent = Spent(),  # noqa: B008 (immutable)
        interrupts: Interrupts,
        emit: Callable[[Event], None],
        checkpoint_root: Path,
        say: Callable[[str], None] = lambda text: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._feed, self._limits, self._gpu = feed, limits, gpu
        self._interrupts, self._emit, self._clock = interrupts, emit, clock
        self._checkpoint_root = checkpoint_root
        self._spent_s = spent.total_s
        self._earlier_s = defaultdict(float, spent.unfinished_s)
        self.say = say
        interrupts.listener = lambda: self.say(self.standing())
        self._running: dict[str, tuple[float, int]] = {}  # key -> start, by the clock and in ms
        self._n_deaths: Counter[str] = Counter()
        self._out: set[str] = set()  # handed to the runner, not ended
        self._streak = _Streak(limits.equal_failures)
        self._waiting: dict[str, float] = {}  # key -> when to be tried again
        for folder in checkpoint_root.glob("*"):
            if folder.name in spent.finished:  # by a driver that died just then
                forget_checkpoint(checkpoint_root, folder.name)

    # ---- what to do ----------------------------------------------------------------------

    def next(self) -> TrialSpec | None:
        """A trial to run now, or None: for now if `exhausted` is false, else for good."""
        if self.closed:
            return None
        due = next((key for key, at in self._waiting.items() if at <= self._clock()), None)
        if due is not None:
            del self._waiting[due]
            spec: TrialSpec | None = self._feed.spec(due)
        else:
            spec = self._feed.next()
        if spec is not None:
            self._out.add(spec.key)
        return spec

    @property
    def closed(self) -> bool:
        """Whether no trial may start: the user stopped, a budget is spent, or trials fail."""
        return self._interrupts.finishing or bool(self.over_budget) or self._streak.is_over

    @property
    def exhausted(self) -> bool:
        """Whether no trial will ever come again, not even one that is running now."""
        return self.closed or (self._feed.exhausted and not self._waiting and not self._out)

    @property
    def idle(self) -> bool:
        """Whether no trial is running."""
        return not self._running

    @property
    def over_budget(self) -> str:
        """Which budget is spent, if one is; running trials count up to now."""
        running_s = sum(self._clock() - begun for begun, _ in self._running.values())
        return over_budget(self._limits, self._spent_s + running_s, self._gpu)

    @property
    def may_stop(self) -> bool:
        """Whether a running trial may be ended early."""
        return self._feed.may_stop

    @property
    def adapts(self) -> bool:
        """Whether what a trial gave changes what is asked next."""
        return self._feed.adapts

    @property
    def stopping(self) -> bool:
        """Whether running trials should write a checkpoint and end."""
        return self._interrupts.stopping

    def breaking(self) -> AbstractContextManager[None]:
        """For a runner without workers to kill; see `Interrupts.breaking`."""
        return self._interrupts.breaking()

    def condemned(self) -> Iterator[str]:
        """Keys of running trials whose workers must be killed now."""
        if self._interrupts.grace_left_s == 0:
            yield from self._running
        else:
            yield from (key for key in self._running if self._timed_out(key))

    # ---- outcomes ------------------------------------------------------------------------

    def started(self, key: str) -> None:
        """A worker began the trial."""
        self._charge(key)  # of an attempt that a runner has replaced on its own
        self._running[key] = self._clock(), now_ms()
        self._feed.started(key)

    def reported(self, key: str, step: int, metrics: Mapping[str, float]) -> bool:
        """Record the progress of a running trial. Returns whether the trial should stop."""
        return self._feed.reported(key, step, metrics)

    def finished(self, outcome: Outcome) -> None:
        """Record a finished trial, then delete its checkpoint: the journal holds the outcome."""
        self._streak.add(outcome, self._feed.spec(outcome.key))
        self._finish(outcome)

    def over_limit(self, key: str, error: str) -> None:
        """A trial failed because it reached a limit of its own: that says nothing of others."""
        self._finish(self._outcome(key, TrialState.FAILED, error))

    def ended(self, key: str, state: TrialState, error: str = "") -> None:
        """A trial ended for good without an outcome of its own."""
        self.finished(self._outcome(key, state, error))

    def _finish(self, outcome: Outcome) -> None:
        self._charge(outcome.key)
        self._out.discard(outcome.key)
        self._feed.finished(outcome)
        forget_checkpoint(self._checkpoint_root, outcome.key)

    def _outcome(self, key: str, state: TrialState, error: str) -> Outcome:
        begun_ms = self._running[key][1] if key in self._running else now_ms()
        return Outcome(key=key, state=state, error=error, started_ms=begun_ms, ended_ms=now_ms())

    def died(self, key: str, what: str, why: str) -> None:
        """A worker ended without an outcome: by our hand, or else to be tried again."""
        if self.stopping:
            self.interrupted(key)
        elif self._timed_out(key):
            limit_s = self._limits.trial_timeout_s
            self.over_limit(key, f"time limit of {limit_s:g} s exceeded")
        else:
            self._n_deaths[key] += 1
            n_deaths, n_most = self._n_deaths[key], self._limits.retries + 1
            times = f" {n_deaths} times" if n_deaths > 1 else ""
            if n_deaths == n_most:
                self.ended(key, TrialState.FAILED, f"{what}{times}: {why}")
                return
            wait_s = min(_FIRST_BACK_OFF_S * 2 ** (n_deaths - 1), _LONGEST_BACK_OFF_S)
            self._waiting[key] = self._clock() + wait_s
            again = "" if self.closed else f"; attempt {n_deaths + 1} of {n_most} in {wait_s:g} s"
            self._abandon(key, f"{what}{times}: {why}{again}")

    def interrupted(self, key: str) -> None:
        """A trial wrote its checkpoint, or was killed, because the user wants to stop."""
        self._abandon(key, "interrupted")

    def standing(self) -> str:
        """What the user's signal led to, in one line."""
        running = _trials(len(self._running), "running ")
        if self.idle:
            return "no trial is running; ending"
        if not self.stopping:
            return f"finishing {running}; Ctrl-C again stops them"
        return f"stopping {running}: {self._interrupts.grace_left_s:.0f} s to write checkpoints"

    def ending(self, n_left: int) -> Ending:
        """What ended the sweep with `n_left` of its trials unfinished."""
        left = f"{_trials(n_left)} left to run"
        if self._interrupts.exit_code:
            why = f"interrupted, {left}; rerun the same command to resume"
            return Ending(self._interrupts.exit_code, why)
        if n_left and (over := self.over_budget):
            return Ending(EXIT_OVER_BUDGET, f"{over}, {left}; raise the budget and rerun to resume")
        if n_left and self._streak.is_over:
            why = f"{self._streak}; {left}: remove the cause, then rerun with --retry failed"
            return Ending(EXIT_TRIAL_FAILED, why)
        return Ending()

    # ---- inside --------------------------------------------------------------------------

    def _timed_out(self, key: str) -> bool:
        limit_s = self._limits.trial_timeout_s
        if limit_s is None or key not in self._running:
            return False
        return self._earlier_s[key] + self._clock() - self._running[key][0] > limit_s

    def _charge(self, key: str) -> float:
        """Account for the attempt that is running, if one is; returns its wall time."""
        begun, _ = self._running.pop(key, (self._clock(), 0))
        attempt_s = self._clock() - begun
        self._spent_s += attempt_s
        self._earlier_s[key] += attempt_s
        return attempt_s

    def _abandon(self, key: str, reason: str) -> None:
        self._out.discard(key)
        self._emit(Abandoned(key=key, reason=reason, attempt_s=self._charge(key)))


class _Streak:
    """Failures in a row with the same error, as when an input is gone or a library is missing.

    Before the first success every trial counts. After it, the seeds of a setting count once: one
    bad corner of a space ends no sweep. A trial that measured something has not failed in this
    sense, even if its objective is not finite.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._error, self._settings, self._any_went_well = "", list[str](), False

    def add(self, outcome: Outcome, spec: TrialSpec) -> None:
        """Take note of how a trial ended."""
        if outcome.state is not TrialState.FAILED or _measured(outcome):
            self._settings, self._any_went_well = [], True
            return
        if self._settings and _without_numbers(outcome.error) != _without_numbers(self._error):
            self._settings = []
        self._error = outcome.error
        self._settings.append(str({k: v for k, v in spec.config.items() if k != "seed"}))

    @property
    def is_over(self) -> bool:
        """Whether there were so many that the next trial would only fail, too."""
        return 0 < self._limit <= self._n

    @property
    def _n(self) -> int:
        return len(set(self._settings) if self._any_went_well else self._settings)

    def __str__(self) -> str:
        n = _trials(len(self._settings))
        return f"stopped: {n} in a row failed with the same error ({self._error})"


def _measured(outcome: Outcome) -> bool:
    return any(not name.startswith("system/") for name in outcome.metrics)


def _without_numbers(error: str) -> str:
    return re.sub(r"\b[0-9a-f]{8,}\b|\d+", "#", error)


def _trials(n: int, which: str = "") -> str:
    return f"{n} {which}trial{'s' * (n != 1)}"


def forget_checkpoint(root: Path, key: str) -> None:
    """Remove what attempts at a trial left, now that its outcome is in the journal."""
    shutil.rmtree(root / key, ignore_errors=True)
