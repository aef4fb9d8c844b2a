"""The loop around a training: evaluate, save a checkpoint, report, and continue after a kill."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

from trials.api import Context, TrialError
from trials.training import checkpoint
from trials.training.trainer import Trainer


@runtime_checkable
class Point(Protocol):
    """An evaluation of the model in training; a NamedTuple, so that a checkpoint can hold it."""

    @property
    def step(self) -> int:
        """Steps of training so far."""
        ...

    @property
    def loss_validation(self) -> float:
        """Mean loss on the validation side, in nats."""
        ...

    @property
    def reported(self) -> Mapping[str, float]:
        """The metrics that early stopping can use."""
        ...


P = TypeVar("P", bound=Point)


class Plan(NamedTuple):
    """The steps at which something is done. Evaluations and checkpoints hold the last step."""

    evaluations: Collection[int]
    checkpoints: Collection[int]
    snapshots: Collection[int] = ()

    def next_stop(self, step: int) -> int:
        """The first planned step after `step`."""
        return min(s for steps in self for s in steps if s > step)


def train_to_end(
    trainer: Trainer,
    context: Context,
    *,
    identity: str,
    plan: Plan,
    restored: Callable[..., P],
    evaluated: Callable[[int], P],
    snapshot: Callable[[], None] | None = None,
) -> list[P]:
    """Train to the last step, from the last checkpoint if there is one. Returns the curve.

    `evaluated(last_step)` evaluates the model as it is now; `last_step` is the step of the point
    before. `restored(*values)` makes a point of the values that a checkpoint holds. `snapshot()`
    is called at the steps `plan.snapshots`.

    A report may end the trial, so the checkpoint is written before the report. An interrupted
    trial reports an evaluation that does not enter the curve: the curve of a trial that was
    interrupted equals that of one that was not.

    Raises TrialError if the loss is no longer finite.
    """
    folder, n_steps = context.checkpoint_dir, trainer.schedule.n_steps
    progress = checkpoint.resume(trainer, folder, identity, trainer.device)
    curve = [restored(*values) for values in progress.get("curve", [])]
    while True:
        step = trainer.step
        if snapshot is not None and step in plan.snapshots:
            snapshot()
        last_step = curve[-1].step if curve else 0
        is_evaluated = step in plan.evaluations and (not curve or last_step < step)
        if is_evaluated:
            curve.append(evaluated(last_step))
            _check_finite(trainer, curve[-1])
        is_interrupted = context.interrupted()
        if is_evaluated or is_interrupted or step in plan.checkpoints:
            checkpoint.save(trainer, folder, identity, curve=_values(curve))
        if is_evaluated:
            context.report(step, curve[-1].reported)
        elif is_interrupted:
            context.report(step, evaluated(last_step).reported)
        if step == n_steps:
            return curve
        trainer.advance(plan.next_stop(step), context.interrupted)


def _values(curve: list[Any]) -> list[tuple[Any, ...]]:
    return [tuple(point) for point in curve]


def _check_finite(trainer: Trainer, point: Point) -> None:
    if not math.isfinite(point.loss_validation):
        raise TrialError(
            f"loss_validation is {point.loss_validation} after step {point.step}: the training "
            f"diverged; lower learning_rate {trainer.schedule.learning_rate} or raise "
            f"warm_up_steps {trainer.schedule.warm_up_steps}"
        )
