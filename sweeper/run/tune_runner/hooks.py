"""Tune's hooks. Each one only calls the bridge."""

# ruff: noqa: D102 (the methods are Tune's own)

from __future__ import annotations

import json
from typing import Any

from ray import tune
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.tune.execution import tune_controller
from ray.tune.search import Searcher

from sweeper.records import Outcome
from sweeper.run.tune_runner.bridge import Bridge


class NoReporter(tune.ProgressReporter):
    """Says nothing: `Progress` does. Tune's own reporter clears the output of a notebook cell."""

    def should_report(self, trials: Any, done: bool = False) -> bool:
        return False

    def report(self, trials: Any, done: bool, *sys_info: str) -> None:
        pass


class AttemptSearcher(Searcher):
    """Tune's searcher: asks for the next attempt."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self._bridge = bridge

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The worker's config, None if no trial is ready, or FINISHED."""
        bridge = self._bridge
        spec = bridge.guarded(bridge.next)
        if spec is None:
            over = bridge.error is not None or bridge.attempts.exhausted
            return Searcher.FINISHED if over else None
        bridge.keys[trial_id] = spec.key
        return {"spec": spec.model_dump_json(), "channel": bridge.channel}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        pass  # the callback has told of it

    def save(self, checkpoint_path: str) -> None:
        pass  # what is to be resumed lies in the journal

    def restore(self, checkpoint_path: str) -> None:
        pass


class AttemptCallback(tune.Callback):
    """Tells of what happens to trials."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Ten times a second or so."""
        self._bridge.guarded(self._bridge.check)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._bridge.guarded(lambda: self._bridge.started(trial))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if text := result.get("outcome"):
            outcome = Outcome.model_validate_json(text)
            self._bridge.guarded(lambda: self._bridge.finished(trial.trial_id, outcome))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._bridge.guarded(lambda: self._bridge.completed(trial.trial_id))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._bridge.guarded(lambda: self._bridge.failed(trial))


class AttemptStopper(tune.Stopper):
    """Asks the stopping rule at each report, and ends the sweep after an internal error."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        bridge = self._bridge
        if "progress" not in result or (key := bridge.keys.get(trial_id)) is None:
            return False
        progress = json.loads(result["progress"])
        step, metrics = progress["step"], progress["metrics"]
        if not bridge.guarded(lambda: bridge.attempts.reported(key, step, metrics)):
            return False
        bridge.pruned.add(trial_id)
        return True

    def stop_all(self) -> bool:
        """Whether Tune should end the experiment."""
        attempts = self._bridge.attempts
        return self._bridge.error is not None or (attempts.closed and attempts.idle)


class _ActorManager(RayActorManager):
    """Tune ends the whole sweep over a lost worker whose error is no `RayActorError`.

    Such is `OutOfMemoryError`, by which Ray's memory monitor kills a worker.
    """

    def _actor_task_failed(self, tracked_actor_task: Any, exception: Exception) -> None:
        known = RayActorError | RayTaskError
        if isinstance(exception, RayError) and not isinstance(exception, known):
            exception = RayActorError(error_msg=str(exception))
        super()._actor_task_failed(tracked_actor_task, exception)


tune_controller.RayActorManager = _ActorManager
