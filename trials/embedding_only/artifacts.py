"""Artifacts of the kind `embedding_only`: embeddings, tables, a figure."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from trials.api import Table
from trials.embedding_only.measure import Layer
from trials.embedding_only.model import Trainer
from trials.embedding_only.training_loop import Point
from trials.inputs.sources.schemes.run import INPUT_EMBEDDING, OUTPUT_EMBEDDING


def embeddings(trainer: Trainer) -> dict[str, np.ndarray]:
    """The current embeddings, named as `run:` sources read them."""
    model = trainer.model
    tables = {
        INPUT_EMBEDDING: model.transformer.wte,
        "position_embedding": model.transformer.wpe,
        OUTPUT_EMBEDDING: model.lm_head,
    }
    # Copy: on the CPU this would be a view of weights that the next steps change.
    return {name: t.weight.detach().cpu().numpy().copy() for name, t in tables.items()}


def arrays(trainer: Trainer, first: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """The embeddings of the first and the last step, and loss and gradient norm of every step."""
    return {
        stem(0): first,
        stem(trainer.step): embeddings(trainer),
        "training": {
            "loss": trainer.losses.cpu().numpy(),
            "gradient_norm": trainer.gradient_norms.cpu().numpy(),
        },
    }


def stem(step: int) -> str:
    """File stem of a step, as in `run:RUN_ID/STEM`."""
    return f"step-{step:06d}"


def vocabulary(names: tuple[str, ...]) -> Table:
    """One row per token id, as `run:` sources read it."""
    return {
        "token": names,
        "special": [0] * len(names),
        "merge_rank": list(range(len(names))),
    }


def learning_curve(curve: list[Point]) -> Table:
    """One row per evaluation."""
    return dict(zip(Point._fields, map(list, zip(*curve, strict=True)), strict=True))


def subspaces(before: list[Layer], after: list[Layer]) -> Table:
    """Variance shares in ten directions, one row per layer, before and after training."""
    rows = [
        (when, *layer)
        for when, layers in (("initial", before), ("trained", after))
        for layer in layers
    ]
    return dict(zip(("state", *Layer._fields), map(list, zip(*rows, strict=True)), strict=True))


def figures(curve: list[Point], chance: float) -> dict[str, Figure]:
    """Accuracy against steps, with chance as a line."""
    table = learning_curve(curve)
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.add_subplot(title="Learning", xlabel="steps", ylabel="accuracy", ylim=(0, 1.02))
    axes.plot(table["step"], table["accuracy_validation"], label="validation set")
    axes.axhline(chance, linestyle="--", color="grey", label="chance")
    axes.legend()
    return {"learning_curve": figure}
