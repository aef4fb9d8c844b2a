"""The metrics of a trained model, and the subspace in which its hidden states vary."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trials.embedding_only.config import EmbeddingOnlyConfig
from trials.embedding_only.data import Data, task_of
from trials.embedding_only.model import Point, Trainer, evaluate, steps_to
from trials.inputs.algorithmic_tasks import Memorisation, Sequences

_N_DIRECTIONS = 10
_MOST_TOKENS = 1 << 16


class Layer(NamedTuple):
    """Shares of the variance of hidden states in ten directions.

    Attributes:
        layer: number of blocks before these states.
        components: share in the leading principal components.
        neurons: share in the coordinates of largest variance.
    """

    layer: int
    components: float
    neurons: float


@torch.no_grad()
def layers(trainer: Trainer, sequences: Sequences) -> list[Layer]:
    """Shares after the embeddings and after each block, at all positions of the sequences."""
    n = max(1, _MOST_TOKENS // sequences.tokens.shape[1])
    some = Sequences(sequences.tokens[:n], sequences.scored[:n])
    body = trainer.model.transformer
    seen: list[list[Tensor]] = [[] for _ in range(len(body.h) + 1)]
    hooks = [
        module.register_forward_pre_hook(lambda _, given, layer=layer: seen[layer].append(given[0]))
        for layer, module in enumerate((*body.h, body.ln_f))
    ]
    try:
        for tokens, _ in trainer.chunks(some):
            body(tokens[:, :-1])
    finally:
        for hook in hooks:
            hook.remove()
    return [
        Layer(i, *_shares(torch.cat(states).flatten(0, 1).double()))
        for i, states in enumerate(seen)
    ]


def _shares(states: Tensor) -> tuple[float, float]:
    """Shares in the leading components and in the largest coordinates of states (n, d_model)."""
    centred = states - states.mean(dim=0)
    covariance = (centred.T @ centred).cpu().numpy()
    variances = np.sort(covariance.diagonal())[::-1]
    spectrum = np.linalg.eigvalsh(covariance)[::-1]
    total = variances.sum()
    if total == 0:
        return float("nan"), float("nan")
    components, neurons = (float(v[:_N_DIRECTIONS].sum() / total) for v in (spectrum, variances))
    return components, neurons


def measure(
    trainer: Trainer,
    data: Data,
    config: EmbeddingOnlyConfig,
    curve: list[Point],
    before: list[Layer],
    after: list[Layer],
) -> dict[str, float]:
    """All metrics after the last step. `before` and `after` are the layers around the training."""
    validation, held_out = evaluate(trainer, data.validation), evaluate(trainer, data.held_out)
    n_tokens = config.n_steps * config.batch_size * data.context
    parameters = list(trainer.model.parameters())
    n_trainable = sum(p.numel() for p in parameters if p.requires_grad)
    return {
        "accuracy_validation": validation.accuracy,
        "accuracy_held_out": held_out.accuracy,
        "loss_validation": validation.loss,
        "loss_held_out": held_out.loss,
        "exact_match_held_out": held_out.exact_match,
        "chance_accuracy": chance_accuracy(data.typical, data.held_out, len(data.names)),
        "shortcut_accuracy": data.shortcut_accuracy,
        "loss_train": float(trainer.losses[-max(1, config.n_steps // 20) :].mean()),
        "steps_to_90": steps_to(curve, 0.9),
        "memorised_bits_per_parameter": _memorised_bits(config, validation.loss) / n_trainable,
        "components_variance_frac": after[-1].components,
        "neurons_variance_frac": after[-1].neurons,
        "components_variance_initial_frac": before[-1].components,
        "neurons_variance_initial_frac": before[-1].neurons,
        "n_parameters": float(sum(p.numel() for p in parameters)),
        "n_trainable": float(n_trainable),
        "training_s": trainer.training_s,
        "tokens_per_s": n_tokens / trainer.training_s,
    }


def chance_accuracy(typical: Sequences, test: Sequences, n_vocab: int) -> float:
    """Accuracy on `test` of guessing the token most frequent at that position in `typical`."""
    n_places = test.scored.shape[1]
    places = np.nonzero(typical.scored)[1]
    counts = np.bincount(places * n_vocab + typical.answers, minlength=n_places * n_vocab)
    guesses = counts.reshape(n_places, n_vocab).argmax(axis=1)
    return float((guesses[np.nonzero(test.scored)[1]] == test.answers).mean())


def _memorised_bits(config: EmbeddingOnlyConfig, loss: float) -> float:
    """Bits memorised of the whole table; `loss` is the mean over a sample of it, in nats."""
    if config.task != "memorisation":
        return math.nan
    task = task_of(config)
    assert isinstance(task, Memorisation)
    return task.n_bits - task.table.size * loss / math.log(2)
