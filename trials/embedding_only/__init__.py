"""The kind `embedding_only`: a random transformer of which only the embeddings are trained.

The opposite of frozen embeddings in a trained body (Zhong and Andreas, 2024): how much of a task
can be done by choosing what goes into a random network and what is read from it? What is trained
is `embedding`, `unembedding`, `both`, `everything` or the `body` alone. So learned or random
embeddings, in a learned or random body, are two by two: `everything`, `both`, `body`, and chance.
"""

from __future__ import annotations

from trials.api import Chart, Context, TrialKind, TrialResult
from trials.embedding_only.config import EmbeddingOnlyConfig
from trials.embedding_only.metrics import METRICS
from trials.inputs.corpora import corpus_digests


def run(config: EmbeddingOnlyConfig, context: Context) -> TrialResult:
    """Draw the task and the model, train, measure."""
    import torch

    from trials.embedding_only import artifacts
    from trials.embedding_only.course import follow
    from trials.embedding_only.data import open_data
    from trials.embedding_only.measure import measure
    from trials.embedding_only.model import architecture, build_model
    from trials.embedding_only.subspace import layers
    from trials.embedding_only.train import Trainer
    from trials.inputs.models import ARCHITECTURE
    from trials.training.checkpoint import forget

    data = open_data(config, n_threads=context.n_threads)
    # Moments of rows that no longer change decay through numbers too small for their format.
    torch.set_flush_denormal(True)
    try:
        model = build_model(config, len(data.names), data.context)
        trainer = Trainer(model, data.batches, config, context.device)
        first, before = artifacts.embeddings(trainer), layers(trainer, data.validation)
        curve = follow(trainer, data, config, context)
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


def input_digests(config: EmbeddingOnlyConfig) -> dict[str, str]:
    """Digests of text and tokenizer, where there is text."""
    return corpus_digests(config) if config.task == "language_modelling" else {}


_CAPTION = "Held-out sequences. A line for each task and each part of the model that is trained."

KIND = TrialKind(
    name="embedding_only",
    version=1,
    summary="A random transformer of which the embeddings alone are trained, on tasks and on text.",
    config=EmbeddingOnlyConfig,
    metrics=METRICS,
    objective="accuracy_validation",
    run=run,
    input_digests=input_digests,
    reports=("accuracy_validation", "loss_validation"),
    charts=(
        Chart(
            title="Accuracy against width",
            x="d_model",
            y="accuracy_held_out",
            colour="trained",
            dash="task",
            log_x=True,
            caption=_CAPTION,
        ),
        Chart(
            title="Chance against width",
            x="d_model",
            y="chance_accuracy",
            colour="task",
            log_x=True,
            caption="Guessing the most frequent answer: what an accuracy stands beside.",
        ),
        Chart(
            title="Bits remembered by a trained parameter",
            x="d_model",
            y="memorised_bits_per_parameter",
            colour="trained",
            log_x=True,
            caption="Memorisation alone.",
        ),
        Chart(
            title="Hidden states in ten directions",
            x="d_model",
            y="components_variance_frac",
            colour="trained",
            dash="task",
            log_x=True,
            caption="Share of the variance after the last block in ten principal components.",
        ),
    ),
)
