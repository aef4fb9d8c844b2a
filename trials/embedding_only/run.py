"""Runs a trial of the kind `embedding_only`, and gathers its artifacts."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure

from trials.api import Context, Table, TrialResult
from trials.embedding_only.config import EmbeddingOnlyConfig
from trials.embedding_only.data import open_data
from trials.embedding_only.measure import Layer, layers, measure
from trials.embedding_only.model import Point, Trainer, architecture, build_model, train
from trials.inputs.models import ARCHITECTURE
from trials.inputs.sources.schemes.run import INPUT_EMBEDDING, OUTPUT_EMBEDDING
from trials.training.checkpoint import forget


def run(config: EmbeddingOnlyConfig, context: Context) -> TrialResult:
    """Draw the task and the model, train, measure."""
    data = open_data(config, n_threads=context.n_threads)
    # Adam moments of rows that no longer change become denormal, which is very slow.
    torch.set_flush_denormal(True)
    try:
        model = build_model(config, len(data.names), data.context)
        trainer = Trainer(model, data.batches, config, context.device)
        first, before = embeddings(trainer), layers(trainer, data.validation)
        curve = train(trainer, data, config, context)
        after = layers(trainer, data.validation)
        metrics = measure(trainer, data, config, curve, before, after)
    finally:
        torch.set_flush_denormal(False)
    result = TrialResult(
        metrics=metrics,
        arrays=arrays(trainer, first),
        tables={
            "learning_curve": learning_curve(curve),
            "subspaces": subspaces(before, after),
            "vocabulary": vocabulary(data.names),
            ARCHITECTURE: architecture(config, len(data.names), data.context).table(),
        },
        figures=figures(curve, metrics["chance_accuracy"]),
        facts={
            "n_vocab": str(len(data.names)),
            "context": str(data.context),
            "initial_std": f"{config.resolved_std:.4g}",
            "trained_parameters": ", ".join(
                name for name, p in model.named_parameters() if p.requires_grad
            )
            if config.trained not in ("everything", "body")
            else config.trained,
        },
    )
    forget(context.checkpoint_dir)
    return result


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
