"""The training of the kind `pretrain`: when it is evaluated, and the embeddings kept on the way.

The checkpoint folder holds the last checkpoint and the embeddings of the snapshot steps.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors.numpy import load_file, save_file

from trials.api import Context
from trials.inputs.cache import replacing
from trials.inputs.corpora import TokenisedCorpus
from trials.inputs.sources.schemes.run import INPUT_EMBEDDING, OUTPUT_EMBEDDING
from trials.pretrain.config import PretrainConfig
from trials.pretrain.measure import mean_loss
from trials.pretrain.model import Trainer, embedding
from trials.training import checkpoint
from trials.training.trainer import learning_rate_at
from trials.training.training_loop import Plan, train_to_end


class Point(NamedTuple):
    """A point on the loss curve.

    Attributes:
        step, n_tokens: steps and tokens of training so far.
        loss_validation: on the validation side, in nats.
        loss_batches: mean over the batches since the previous point; NaN for the first.
        learning_rate: learning rate of the last step.
    """

    step: int
    n_tokens: int
    loss_validation: float
    loss_batches: float
    learning_rate: float

    @property
    def reported(self) -> dict[str, float]:
        """What early stopping can use."""
        return {"loss_validation": self.loss_validation}


def planned(config: PretrainConfig) -> Plan:
    """The steps of evaluations, checkpoints and snapshots."""
    n_steps = config.n_steps
    evenly = np.linspace(0, n_steps, config.n_evaluations + 1)
    logarithmic = np.geomspace(n_steps, 1, config.n_snapshots - 1)
    every = range(config.checkpoint_steps, n_steps, config.checkpoint_steps)
    return Plan(
        evaluations=tuple(np.unique(np.rint(evenly).astype(int)).tolist()),
        checkpoints=(*every, n_steps),
        snapshots=(0, *np.unique(np.rint(logarithmic).astype(int)).tolist()),
    )


def train(
    trainer: Trainer, corpus: TokenisedCorpus, config: PretrainConfig, context: Context
) -> list[Point]:
    """Train to the end, from the last checkpoint if there is one. Returns the loss curve.

    Raises TrialError if the loss is no longer finite.
    """
    return train_to_end(
        trainer,
        context,
        identity=f"{config.model_dump_json()} {corpus.digest}",
        plan=planned(config),
        restored=Point,
        evaluated=partial(_evaluated, trainer, corpus, config),
        snapshot=partial(_keep_embeddings, trainer, config, context.checkpoint_dir),
    )


def kept_embeddings(config: PretrainConfig, folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """File stem -> tensors of each snapshot step. A source names it `run:RUN_ID/STEM`."""
    stems = (_stem(step) for step in planned(config).snapshots)
    return {stem: load_file(folder / f"{stem}.safetensors") for stem in stems}


def forget(folder: Path) -> None:
    """Remove checkpoint and snapshots after the trial has finished."""
    checkpoint.forget(folder)
    for path in folder.glob("step-*.safetensors"):
        path.unlink(missing_ok=True)


def _evaluated(
    trainer: Trainer, corpus: TokenisedCorpus, config: PretrainConfig, last_step: int
) -> Point:
    step = trainer.step
    return Point(
        step=step,
        n_tokens=step * config.batch_size * config.context,
        loss_validation=mean_loss(trainer, corpus.validation),
        loss_batches=float(trainer.losses[last_step:step].mean()),
        learning_rate=learning_rate_at(config, max(0, step - 1)),
    )


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
