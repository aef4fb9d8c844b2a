"""In how few directions the hidden states vary."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trials.embedding_only.train import Trainer
from trials.inputs.algorithmic_tasks import Sequences

_N_DIRECTIONS = 10
_MOST_TOKENS = 1 << 16


class Layer(NamedTuple):
    """Shares of the variance of hidden states in ten directions.

    Attributes:
        layer: blocks that the states have passed.
        components: share in the leading principal components.
        neurons: share in the coordinates of largest variance.
    """

    layer: int
    components: float
    neurons: float


@torch.no_grad()
def layers(trainer: Trainer, sequences: Sequences) -> list[Layer]:
    """Of the sum of the embeddings and after each block, at all places of sequences of a set."""
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
    """Of states (n, d_model)."""
    centred = states - states.mean(dim=0)
    covariance = (centred.T @ centred).cpu().numpy()
    variances = np.sort(covariance.diagonal())[::-1]
    spectrum = np.linalg.eigvalsh(covariance)[::-1]
    total = variances.sum()
    if total == 0:
        return float("nan"), float("nan")
    components, neurons = (float(v[:_N_DIRECTIONS].sum() / total) for v in (spectrum, variances))
    return components, neurons
