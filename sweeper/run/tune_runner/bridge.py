"""Maps Tune's trials to our attempts, in the driver process."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from sweeper.errors import DiskFull, NoDevice, one_line
from sweeper.records import Outcome, TrialSpec, TrialState
from sweeper.run.driver.attempts import Attempts
from sweeper.run.tune_runner.messages import Messages
from sweeper.run.tune_runner.patience import Patience
from sweeper.run.worker.execute import OutOfMemory


class Bridge:
    """Maps Tune's trials to keys, and keeps our exceptions out of Tune.

    Attributes:
        keys: by Tune's id, of the trials that it was given and that have not ended.
        pruned: Tune's ids of the trials that a stopping rule ended.
        error: the first exception of ours.
    """

    def __init__(
        self,
        attempts: Attempts,
        messages: Messages,
        channel: dict[str, Any],
        *,
        most_at_once: Callable[[], int],
        patience: Patience,
    ) -> None:
        self.attempts, self.messages, self.channel = attempts, messages, channel
        self._most_at_once, self._patience = most_at_once, patience
        self.keys: dict[str, str] = {}
        self.pruned: set[str] = set()
        self._actors: dict[str, Any] = {}
        self.error: BaseException | None = None

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Tune pickles its whole experiment. We need none of it: see the journal."""
        return object, ()

    def guarded(self, call: Callable[[], Any]) -> Any:
        """The value of `call`, or None after an error, now or earlier."""
        if self.error is not None:
            return None
        try:
            return call()
        except BaseException as error:
            self.error = error
            return None

    def next(self) -> TrialSpec | None:
        """A trial for Tune, unless it has as many as it may have at once."""
        return self.attempts.next() if len(self.keys) < self._most_at_once() else None

    def started(self, trial: Any) -> None:
        """A worker began a trial. It is killed at once if no trial may start any longer."""
        if self.attempts.closed:  # since Tune was given it
            self._forget(trial.trial_id)
            ray.kill(trial.temporary_state.ray_actor)
            return
        key = self.keys[trial.trial_id]
        self._actors[key] = trial.temporary_state.ray_actor
        self.attempts.started(key)

    def check(self) -> None:
        """Ask trials to end if the sweep is stopping, and kill those whose time is up."""
        if self.attempts.stopping:
            self.messages.stop()
        n_running = len(self._actors)
        self._patience.check(n_waiting=len(self.keys) - n_running, n_running=n_running)
        for key in self.attempts.condemned():
            if (actor := self._actors.pop(key, None)) is not None:
                ray.kill(actor)

    def finished(self, trial_id: str, outcome: Outcome) -> None:
        """A worker reported an outcome."""
        if self.keys.get(trial_id) == outcome.key:
            self._forget(trial_id)
            self.attempts.finished(outcome)

    def completed(self, trial_id: str) -> None:
        """A trial ended. Its outcome was reported before, or there is none."""
        if (key := self._forget(trial_id)) is None:
            return
        if trial_id in self.pruned:
            self.attempts.ended(key, TrialState.PRUNED)
        else:
            self.attempts.interrupted(key)

    def failed(self, trial: Any) -> None:
        """A trial's worker died, or raised what is no trial's doing."""
        if (key := self._forget(trial.trial_id)) is None:
            return
        error = _error_of(trial)
        if reason := self.messages.reason(key):
            self.attempts.over_limit(key, reason)
        elif isinstance(error, DiskFull | NoDevice):
            self.attempts.interrupted(key)
            raise error
        elif isinstance(error, OutOfMemory):
            self.attempts.died(key, "out of memory", str(error))
        elif error is None or isinstance(error, RayActorError):
            self.attempts.died(key, *_death(str(error)))
        else:
            text = one_line(f"{type(error).__name__}: {error}")
            self.attempts.ended(key, TrialState.FAILED, text)

    def _forget(self, trial_id: str) -> str | None:
        key = self.keys.pop(trial_id, None)
        self._actors.pop(key or "", None)
        return key


def _error_of(trial: Any) -> BaseException | None:
    """What Tune saw of a failed trial; the cause where it was raised in the worker."""
    try:
        with Path(trial.pickled_error_file).open("rb") as file:
            error = pickle.load(file)
    except (OSError, TypeError, pickle.UnpicklingError):
        return None
    while isinstance(error, RayTaskError):  # more than one where the mailbox raised it
        error = error.cause
    return error


def _death(text: str) -> tuple[str, str]:
    """What happened to a worker and why, as far as Ray knows."""
    if "running low on memory" in text:
        return "out of memory", "Ray killed the worker before its node had none left"
    if "node has died" in text:
        return "the worker died", "its node did"
    return "the worker died", "killed, crashed, or out of memory"
