"""Losses on text that is not trained on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trials.api import Table
from trials.inputs.corpora.windows import Windows
from trials.inputs.splits import frequency_deciles
from trials.pretrain.train import Trainer

_N_DECILES = 10
_CHUNK_TOKENS = 1 << 16


class Evaluated(NamedTuple):
    """Every evaluated token with the token before it, and its -ln p; one entry a token."""

    inputs: np.ndarray
    targets: np.ndarray
    losses: np.ndarray

    @property
    def mean(self) -> float:
        """Mean loss, in nats."""
        return float(self.losses.mean(dtype=np.float64))


def evaluate(trainer: Trainer, tokens: np.ndarray) -> Evaluated:
    """The losses of evenly spaced sequences of a stream, about `evaluation_tokens` in all."""
    windows = Windows(tokens, trainer.config.context)
    which = windows.evenly(trainer.config.evaluation_tokens)
    n_chunks = -(-len(which) * windows.context // _CHUNK_TOKENS)
    parts = []
    for chunk in np.array_split(which, n_chunks):
        sequences = windows[chunk]
        losses = trainer.token_losses(sequences)
        parts.append((sequences[:, :-1].ravel(), sequences[:, 1:].ravel(), losses.ravel()))
    inputs, targets, losses = (np.concatenate(p) for p in zip(*parts, strict=True))
    return Evaluated(inputs, targets, losses)


def mean_loss(trainer: Trainer, tokens: np.ndarray) -> float:
    """Mean of `evaluate`, in nats."""
    return evaluate(trainer, tokens).mean


def by_decile(found: Evaluated, counts: np.ndarray) -> Table:
    """Mean loss by tenth of the vocabulary, 0 the most frequent, of the input and of the target.

    `counts` are the tokens' occurrences in the training text. NaN where no token occurs.
    """
    decile_of = frequency_deciles(counts)
    table: dict[str, list[float]] = {
        "decile": list(range(_N_DECILES)),
        "share_of_text": np.bincount(decile_of, counts / counts.sum(), _N_DECILES).tolist(),
    }
    for side, tokens in (("input", found.inputs), ("target", found.targets)):
        deciles = decile_of[tokens]
        n = np.bincount(deciles, minlength=_N_DECILES)
        total = np.bincount(deciles, found.losses.astype(np.float64), _N_DECILES)
        table[f"n_{side}_tokens"] = n.tolist()
        table[f"loss_by_{side}"] = np.where(n > 0, total / np.maximum(n, 1), np.nan).tolist()
    return table
