"""Artifacts of the kind `pretrain`: arrays, tables, figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from trials.api import Table
from trials.inputs.corpora import TokenisedCorpus
from trials.pretrain.measure import Evaluated
from trials.pretrain.model import Trainer
from trials.pretrain.training_loop import Point, kept_embeddings


def arrays(trainer: Trainer, folder: Path, held_out: Evaluated) -> dict[str, dict[str, np.ndarray]]:
    """The embeddings of the snapshot steps, the training curves, and the model if asked.

    `training` has loss and gradient norm of every step; `held_out` the mean loss of each sequence
    of held-out text, in its order, which is the same for all arms. `model` has all weights under
    the names that transformers gives them, a tied matrix once.
    """
    training = {
        "loss": trainer.losses.cpu().numpy(),
        "gradient_norm": trainer.gradient_norms.cpu().numpy(),
    }
    sequences = held_out.losses.reshape(-1, trainer.config.context).mean(axis=1)
    tensors = {
        **kept_embeddings(trainer.config, folder),
        "training": training,
        "held_out": {"loss": sequences.astype(np.float32)},
    }
    if trainer.config.keep_model:
        weights = dict(trainer.model.named_parameters())
        tensors["model"] = {name: p.detach().cpu().numpy() for name, p in weights.items()}
    return tensors


def loss_curve(curve: list[Point]) -> Table:
    """One row per evaluation."""
    return dict(zip(Point._fields, map(list, zip(*curve, strict=True)), strict=True))


def vocabulary(corpus: TokenisedCorpus) -> Table:
    """One row per token id, as `run:` sources read it, with its count in the training text."""
    return {
        "token": corpus.vocabulary.tokens,
        "special": corpus.vocabulary.special.astype(int).tolist(),
        "merge_rank": corpus.vocabulary.merge_rank.tolist(),
        "count": corpus.counts.tolist(),
    }


def figures(curve: list[Point]) -> dict[str, Figure]:
    """Loss against tokens."""
    table = loss_curve(curve)
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.add_subplot(title="Training", xlabel="tokens", ylabel="loss (nats per token)")
    axes.plot(table["n_tokens"], table["loss_batches"], label="batches since the last evaluation")
    axes.plot(table["n_tokens"], table["loss_validation"], label="validation text")
    axes.legend()
    return {"loss_curve": figure}
