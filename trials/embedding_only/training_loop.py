"""The training of the kind `embedding_only`, and its learning curve."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import numpy as np

from trials.api import Context
from trials.embedding_only.config import EmbeddingOnlyConfig
from trials.embedding_only.data import Data
from trials.embedding_only.model import Trainer, evaluate
from trials.training.training_loop import Plan, train_to_end


class Point(NamedTuple):
    """A point on the learning curve.

    Attributes:
        step: steps so far.
        accuracy_validation, loss_validation: on the validation set.
        loss_batches: mean over the batches since the previous point; NaN for the first.
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


def train(
    trainer: Trainer, data: Data, config: EmbeddingOnlyConfig, context: Context
) -> list[Point]:
    """Train to the end, from the last checkpoint if there is one. Returns the learning curve.

    Raises TrialError if the loss is no longer finite.
    """
    n_steps = config.n_steps
    evenly = np.rint(np.linspace(0, n_steps, config.n_evaluations + 1)).astype(int)
    plan = Plan(
        evaluations=set(evenly.tolist()),
        checkpoints={*range(0, n_steps, config.checkpoint_steps), n_steps},
    )
    return train_to_end(
        trainer,
        context,
        identity=f"{config.model_dump_json()} {data.digest}",
        plan=plan,
        restored=Point,
        evaluated=partial(_evaluated, trainer, data),
    )


def steps_to(curve: list[Point], accuracy: float) -> float:
    """Steps to the first evaluation with that accuracy; NaN if there is none."""
    reached = (float(p.step) for p in curve if p.accuracy_validation >= accuracy)
    return next(reached, math.nan)


def _evaluated(trainer: Trainer, data: Data, last_step: int) -> Point:
    validation = evaluate(trainer, data.validation)
    batches = trainer.losses[last_step : trainer.step]
    return Point(trainer.step, validation.accuracy, validation.loss, float(batches.mean()))
