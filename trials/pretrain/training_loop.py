"""The course of a training: when it is evaluated, kept, reported, and how it goes on after a kill.

In the checkpoint folder lie the last checkpoint and the embeddings of the steps that are kept.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors.numpy import load_file, save_file

from trials.api import Context, TrialError
from trials.inputs.corpora import TokenisedCorpus
from trials.inputs.sources.cache import replacing
from trials.inputs.sources.run import INPUT_EMBEDDING, OUTPUT_EMBEDDING
from trials.pretrain.config import PretrainConfig
from trials.pretrain.measure import mean_loss
from trials.pretrain.model import Trainer, embedding
from trials.training import checkpoint
from trials.training.trainer import learning_rate_at


class Point(NamedTuple):
    """A point of the loss curve.

    Attributes:
        step, n_tokens: steps and tokens of training so far.
        loss_validation: on the validation side, in nats.
        loss_batches: mean over the batches since the point before; NaN for the first.
        learning_rate: of the last step.
    """

    step: int
    n_tokens: int
    loss_validation: float
    loss_batches: float
    learning_rate: float


class Plan(NamedTuple):
    """The steps at which something is done, ascending; the last step is in each of them."""

    evaluations: tuple[int, ...]
    snapshots: tuple[int, ...]
    checkpoints: tuple[int, ...]

    def next_stop(self, step: int) -> int:
        """The first of them after `step`."""
        return min(s for steps in self for s in steps if s > step)


def planned(config: PretrainConfig) -> Plan:
    """What is done at which step."""
    n_steps = config.n_steps
    evenly = np.linspace(0, n_steps, config.n_evaluations + 1)
    logarithmic = np.geomspace(n_steps, 1, config.n_snapshots - 1)
    every = range(config.checkpoint_steps, n_steps, config.checkpoint_steps)
    return Plan(
        tuple(np.unique(np.rint(evenly).astype(int)).tolist()),
        (0, *np.unique(np.rint(logarithmic).astype(int)).tolist()),
        (*every, n_steps),
    )


def follow(
    trainer: Trainer, corpus: TokenisedCorpus, config: PretrainConfig, context: Context
) -> list[Point]:
    """Train to the end, from the last checkpoint if there is one; the loss curve.

    Raises TrialError if the loss is no longer finite.
    """
    plan, folder = planned(config), context.checkpoint_dir
    identity = f"{config.model_dump_json()} {corpus.digest}"
    curve = [Point(*values) for values in checkpoint.resume(trainer, folder, identity)]
    while True:
        step = trainer.step
        if step in plan.snapshots:
            _keep_embeddings(trainer, config, folder)
        is_evaluated = step in plan.evaluations and (not curve or curve[-1].step < step)
        if is_evaluated:
            curve.append(_point(trainer, corpus, config, curve[-1].step if curve else 0))
        is_interrupted = context.interrupted()
        if is_evaluated or is_interrupted or step in plan.checkpoints:
            checkpoint.save(trainer, curve, folder, identity)
        if is_evaluated:
            context.report(step, {"loss_validation": curve[-1].loss_validation})
        elif is_interrupted:
            context.report(step, {"loss_validation": mean_loss(trainer, corpus.validation)})
        if step == config.n_steps:
            return curve
        trainer.advance(plan.next_stop(step), context.interrupted)


def kept_embeddings(config: PretrainConfig, folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """File stem -> tensors of each step that was kept, as `run:RUN_ID/STEM` names it."""
    stems = (_stem(step) for step in planned(config).snapshots)
    return {stem: load_file(folder / f"{stem}.safetensors") for stem in stems}


def forget(folder: Path) -> None:
    """Remove what a trial that is done left for a retry."""
    checkpoint.forget(folder)
    for path in folder.glob("step-*.safetensors"):
        path.unlink(missing_ok=True)


def _point(
    trainer: Trainer, corpus: TokenisedCorpus, config: PretrainConfig, last_step: int
) -> Point:
    step = trainer.step
    loss = mean_loss(trainer, corpus.validation)
    if not math.isfinite(loss):
        raise TrialError(
            f"loss_validation is {loss} after step {step}: the training diverged; lower "
            f"learning_rate {config.learning_rate} or raise warm_up_steps {config.warm_up_steps}"
        )
    batches = float(trainer.losses[last_step:step].mean())
    rate = learning_rate_at(config, max(0, step - 1))
    return Point(step, step * config.batch_size * config.context, loss, batches, rate)


def _keep_embeddings(trainer: Trainer, config: PretrainConfig, folder: Path) -> None:
    names = {"input": INPUT_EMBEDDING, "output": OUTPUT_EMBEDDING}
    tensors = {
        names[side]: embedding(trainer.model, side).detach().float().cpu().numpy()
        for side in config.sides
    }
    with replacing(folder / f"{_stem(trainer.step)}.safetensors") as temporary:
        save_file(tensors, temporary)


def _stem(step: int) -> str:
    return f"step-{step:06d}"
