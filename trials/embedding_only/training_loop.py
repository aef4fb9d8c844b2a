"""The course of a training: when it is evaluated, reported, and how it goes on after a kill."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from trials.api import Context, TrialError
from trials.embedding_only.config import EmbeddingOnlyConfig
from trials.embedding_only.data import Data
from trials.embedding_only.model import Trainer, evaluate
from trials.training import checkpoint


class Point(NamedTuple):
    """A point of the curve of learning.

    Attributes:
        step: steps so far.
        accuracy_validation, loss_validation: on the validation set.
        loss_batches: mean over the batches since the point before; NaN for the first.
    """

    step: int
    accuracy_validation: float
    loss_validation: float
    loss_batches: float

    @property
    def reported(self) -> dict[str, float]:
        """What early stopping can use."""
        return {
            "accuracy_validation": self.accuracy_validation,
            "loss_validation": self.loss_validation,
        }


def follow(
    trainer: Trainer, data: Data, config: EmbeddingOnlyConfig, context: Context
) -> list[Point]:
    """Train to the end, from the last checkpoint if there is one; the curve.

    Raises TrialError if the loss is no longer finite.
    """
    n_steps, folder = config.n_steps, context.checkpoint_dir
    evenly = np.rint(np.linspace(0, n_steps, config.n_evaluations + 1)).astype(int)
    evaluations = set(evenly.tolist())
    stops = sorted(evaluations | {*range(0, n_steps, config.checkpoint_steps), n_steps})
    identity = f"{config.model_dump_json()} {data.digest}"
    curve = [Point(*values) for values in checkpoint.resume(trainer, folder, identity)]
    while True:
        step = trainer.step
        is_evaluated = step in evaluations and (not curve or curve[-1].step < step)
        is_interrupted = context.interrupted()
        point = None
        if is_evaluated or is_interrupted:
            point = _point(trainer, data, curve[-1].step if curve else 0)
        if is_evaluated and point is not None:
            curve.append(point)
        if point is not None or step in stops:
            checkpoint.save(trainer, curve, folder, identity)
        if point is not None:
            context.report(step, point.reported)
        if step == n_steps:
            return curve
        trainer.advance(next(s for s in stops if s > step), context.interrupted)


def steps_to(curve: list[Point], accuracy: float) -> float:
    """Steps to the first evaluation with that accuracy; NaN if there is none."""
    reached = (float(p.step) for p in curve if p.accuracy_validation >= accuracy)
    return next(reached, math.nan)


def _point(trainer: Trainer, data: Data, last_step: int) -> Point:
    found = evaluate(trainer, data.validation)
    if not math.isfinite(found.loss):
        raise TrialError(
            f"loss_validation is {found.loss} after step {trainer.step}: the training diverged; "
            f"lower learning_rate {trainer.config.learning_rate} or raise warm_up_steps "
            f"{trainer.config.warm_up_steps}"
        )
    batches = trainer.losses[last_step : trainer.step]
    return Point(trainer.step, found.accuracy, found.loss, float(batches.mean()))
