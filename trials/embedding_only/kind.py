"""The kind `embedding_only`: a random transformer of which only the embeddings are trained.

The opposite of frozen embeddings in a trained body (Zhong and Andreas, 2024): how much of a task
can be done by choosing what goes into a random network and what is read from it? What is trained
is `embedding`, `unembedding`, `both`, `everything` or the `body` alone. So learned or random
embeddings, in a learned or random body, are two by two: `everything`, `both`, `body`, and chance.
"""

from __future__ import annotations

from trials.api import Chart, TrialKind
from trials.embedding_only.config import EmbeddingOnlyConfig
from trials.embedding_only.metrics import METRICS
from trials.inputs.corpora import corpus_digests


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
    run="trials.embedding_only.run:run",
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
