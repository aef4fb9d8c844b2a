"""Runs a trial of the kind `embedding_only`."""

from __future__ import annotations

import torch

from trials.api import Context, TrialResult
from trials.embedding_only import artifacts
from trials.embedding_only.config import EmbeddingOnlyConfig
from trials.embedding_only.data import open_data
from trials.embedding_only.measure import layers, measure
from trials.embedding_only.model import Trainer, architecture, build_model
from trials.embedding_only.training_loop import train
from trials.inputs.models import ARCHITECTURE
from trials.training.checkpoint import forget


def run(config: EmbeddingOnlyConfig, context: Context) -> TrialResult:
    """Draw the task and the model, train, measure."""
    data = open_data(config, n_threads=context.n_threads)
    # Adam moments of rows that no longer change become denormal, which is very slow.
    torch.set_flush_denormal(True)
    try:
        model = build_model(config, len(data.names), data.context)
        trainer = Trainer(model, data.batches, config, context.device)
        first, before = artifacts.embeddings(trainer), layers(trainer, data.validation)
        curve = train(trainer, data, config, context)
        after = layers(trainer, data.validation)
        metrics = measure(trainer, data, config, curve, before, after)
    finally:
        torch.set_flush_denormal(False)
    result = TrialResult(
        metrics=metrics,
        arrays=artifacts.arrays(trainer, first),
        tables={
            "learning_curve": artifacts.learning_curve(curve),
            "subspaces": artifacts.subspaces(before, after),
            "vocabulary": artifacts.vocabulary(data.names),
            ARCHITECTURE: architecture(config, len(data.names), data.context).table(),
        },
        figures=artifacts.figures(curve, metrics["chance_accuracy"]),
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
