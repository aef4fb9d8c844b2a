"""Losses on validation and held-out text, and the metrics of the kind `pretrain`."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch

from trials.api import Table
from trials.inputs.corpora import TokenisedCorpus
from trials.inputs.corpora.windows import Windows
from trials.inputs.splits import frequency_deciles
from trials.pretrain.model import Trainer, flop_per_token

_N_DECILES = 10
_CHUNK_TOKENS = 1 << 16


class Evaluated(NamedTuple):
    """Every evaluated token with its predecessor and its -ln p; one entry per token."""

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


def by_decile(evaluated: Evaluated, counts: np.ndarray) -> Table:
    """Mean loss by frequency decile of the input and of the target; decile 0 is the most frequent.

    `counts` are the occurrences of the tokens in the training text. NaN if no token occurs.
    """
    decile_of = frequency_deciles(counts)
    table: dict[str, list[float]] = {
        "decile": list(range(_N_DECILES)),
        "share_of_text": np.bincount(decile_of, counts / counts.sum(), _N_DECILES).tolist(),
    }
    for side, tokens in (("input", evaluated.inputs), ("target", evaluated.targets)):
        deciles = decile_of[tokens]
        n = np.bincount(deciles, minlength=_N_DECILES)
        total = np.bincount(deciles, evaluated.losses.astype(np.float64), _N_DECILES)
        table[f"n_{side}_tokens"] = n.tolist()
        table[f"loss_by_{side}"] = np.where(n > 0, total / np.maximum(n, 1), np.nan).tolist()
    return table


# Dense peak of matrix products, FLOP/s, by a part of the GPU's name and by precision; float32 on
# CUDA cores, as torch multiplies by default.
_PEAKS = {
    "H200": {"bfloat16": 989e12, "float32": 67e12},
    "H100": {"bfloat16": 989e12, "float32": 67e12},
    "A100": {"bfloat16": 312e12, "float32": 19.5e12},
    "L40S": {"bfloat16": 362e12, "float32": 91.6e12},
}


def measure(
    trainer: Trainer, corpus: TokenisedCorpus, loss: float, held_out: Evaluated, deciles: Table
) -> dict[str, float]:
    """Every metric except those of the frozen rows; `loss` is that of the validation side."""
    config = trainer.config
    n_tokens = config.n_steps * config.batch_size * config.context
    n_last = max(1, config.n_steps // 20)
    bytes_per_token = corpus.bytes_per_token["held_out"]
    parameters = list(trainer.model.parameters())
    tokens_per_s = n_tokens / trainer.training_s
    return {
        "loss_validation": loss,
        "loss_held_out": held_out.mean,
        "bits_per_byte_held_out": held_out.mean / math.log(2) / bytes_per_token,
        **{
            f"loss_{which}_{side}_held_out": deciles[f"loss_by_{side}"][decile]
            for side in ("input", "target")
            for which, decile in (("frequent", 0), ("rare", -1))
        },
        "loss_train": float(trainer.losses[-n_last:].mean()),
        "gradient_norm": float(trainer.gradient_norms[-1]),
        "n_parameters": float(sum(p.numel() for p in parameters)),
        "n_trainable": float(sum(p.numel() for p in parameters if p.requires_grad)),
        "n_steps": float(config.n_steps),
        "n_epochs": n_tokens / len(corpus.train),
        "training_s": trainer.training_s,
        "tokens_per_s": tokens_per_s,
        "flop_utilisation": tokens_per_s * flop_per_token(trainer.model) / _peak(trainer),
    }


def _peak(trainer: Trainer) -> float:
    """Peak FLOP/s of the device; NaN if unknown."""
    if trainer.device.type != "cuda":
        return float("nan")
    name = torch.cuda.get_device_name(trainer.device)
    peaks = (peak for part, peak in _PEAKS.items() if part in name)
    return next(peaks, {}).get(trainer.config.precision, float("nan"))
