"""The model of the kind `embedding_only`: its parts, its training and its learning curve."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import GPT2LMHeadModel

from trials.api import Context
from trials.embedding_only.config import EmbeddingOnlyConfig
from trials.embedding_only.data import Batches, Data
from trials.inputs.algorithmic_tasks import Sequences
from trials.inputs.models.gpt2 import Architecture, new_gpt2
from trials.training import trainer
from trials.training.training_loop import Plan, train_to_end

_LONGEST_WAVE = 10_000.0


def build_model(config: EmbeddingOnlyConfig, n_vocab: int, context: int) -> GPT2LMHeadModel:
    """A model on the CPU, with gradients where it is trained.

    Initial weights depend on the seed only, whatever is trained.
    """
    model = new_gpt2(
        architecture(config, n_vocab, context), initial_std=config.resolved_std, seed=config.seed
    )
    if config.positions == "frozen_sinusoidal":
        positions = model.transformer.wpe.weight
        with torch.no_grad():
            positions.copy_(config.resolved_std * sinusoidal(context, config.d_model))
    trained = {id(p) for p in _trained(config, model)}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in trained)
    return model


def architecture(config: EmbeddingOnlyConfig, n_vocab: int, context: int) -> Architecture:
    """The shape of the model."""
    return Architecture(
        n_vocab=n_vocab,
        n_layers=config.n_layers,
        n_heads=config.n_heads,
        d_model=config.d_model,
        context=context,
        tied=0,
        output_bias=0,
    )


def sinusoidal(n_positions: int, d_model: int) -> Tensor:
    """sqrt 2 sin and cos of position / 10000^(j / d_model), of mean square 1; (Vaswani, 2017)."""
    places = np.arange(n_positions)[:, None]
    waves = np.arange(d_model)
    angles = places / _LONGEST_WAVE ** (waves // 2 * 2 / d_model)
    table = np.sqrt(2) * np.where(waves % 2 == 0, np.sin(angles), np.cos(angles))
    return torch.from_numpy(table.astype(np.float32))


def logits_of(model: GPT2LMHeadModel, tokens: Tensor, scored: Tensor) -> Tensor:
    """Logits of the scored tokens, (n_scored, n_vocab).

    `tokens` are sequences (n, context + 1). `scored` (n, context) marks the tokens that count, the
    first of each sequence left out.
    """
    hidden = model.transformer(tokens[:, :-1]).last_hidden_state
    logits: Tensor = model.lm_head(hidden[scored])
    return logits


def _trained(config: EmbeddingOnlyConfig, model: GPT2LMHeadModel) -> list[nn.Parameter]:
    body = model.transformer
    parts: dict[str, list[nn.Module]] = {
        "embedding": [body.wte, body.wpe],
        "unembedding": [model.lm_head],
        "body": [body.h, body.ln_f],
    }
    names = {"both": ("embedding", "unembedding"), "everything": tuple(parts)}
    chosen = [part for name in names.get(config.trained, (config.trained,)) for part in parts[name]]
    if config.positions != "with_embedding":
        chosen = [part for part in chosen if part is not body.wpe]
    return [p for part in chosen for p in part.parameters()]


_BETAS = (0.9, 0.999)
_CHUNK_TOKENS = 1 << 15


class Trainer(trainer.Trainer):
    """A GPT-2 of which one part is in training."""

    last_rate = 0.0

    def __init__(
        self, model: GPT2LMHeadModel, batches: Batches, config: EmbeddingOnlyConfig, device: str
    ) -> None:
        """Prepare to train what has gradients in `model`, which moves to `device`."""
        super().__init__(
            model,
            config,
            device,
            decays=[p for p in model.parameters() if p.requires_grad],
            others=[],
            weight_decay=config.weight_decay,
            betas=_BETAS,
        )
        self.model, self.config, self._batches = model, config, batches

    def loss_parts(self, step: int) -> Iterator[Tensor]:
        """The mean loss of the batch."""
        batch = self._batches[step]
        logits = logits_of(self.model, self._on_device(batch.tokens), self._on_device(batch.scored))
        yield functional.cross_entropy(logits, self._on_device(batch.answers))

    def chunks(self, sequences: Sequences) -> Iterator[tuple[Tensor, Tensor]]:
        """Tokens and the mask of scored tokens, on the device, in chunks that fit in memory."""
        n_chunks = -(-sequences.tokens.size // _CHUNK_TOKENS)
        for rows in np.array_split(np.arange(len(sequences.tokens)), n_chunks):
            yield self._on_device(sequences.tokens[rows]), self._on_device(sequences.scored[rows])

    def _on_device(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.device)


class Evaluated(NamedTuple):
    """Means over the scored tokens of a set.

    Attributes:
        accuracy: share of correct predictions.
        loss: mean of -ln p, in nats.
        exact_match: share of sequences whose scored tokens are all predicted correctly.
    """

    accuracy: float
    loss: float
    exact_match: float


@torch.no_grad()
def evaluate(trainer: Trainer, sequences: Sequences) -> Evaluated:
    """Accuracy and loss on a set of sequences."""
    right, losses = [], []
    for tokens, scored in trainer.chunks(sequences):
        logits = logits_of(trainer.model, tokens, scored)
        answers = tokens[:, 1:][scored]
        right.append((logits.argmax(dim=1) == answers).cpu().numpy())
        losses.append(functional.cross_entropy(logits, answers, reduction="none").cpu().numpy())
    is_right = np.concatenate(right)
    rows = np.nonzero(sequences.scored)[0]
    n_wrong = np.bincount(rows, ~is_right, minlength=len(sequences.tokens))
    return Evaluated(
        accuracy=float(is_right.mean()),
        loss=float(np.concatenate(losses).mean(dtype=np.float64)),
        exact_match=float((n_wrong == 0).mean()),
    )


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
