"""The kind `embedding_only`: a random transformer of which only the embeddings are trained.

This is the opposite of frozen embeddings in a trained body (Zhong and Andreas, 2024). How much of a
task can be solved by choosing what goes into a random network and what is read from it? The trained
part is `embedding`, `unembedding`, `both`, `everything` or `body`. Learned or random embeddings in
a learned or random body give four cases: `everything`, `both`, `body`, and chance.
"""

from __future__ import annotations

from trials.api import Chart, Metric, TrialKind
from trials.embedding_only.config import EmbeddingOnlyConfig
from trials.inputs.corpora import corpus_digests

_SCORED = "the scored tokens (see `task`) of the {} set, after the last step"
_SIDES = {"validation": False, "held_out": True}
_HIDDEN = (
    "of the hidden states after the last block, before the final norm, at every position of "
    "validation sequences"
)


def _on_both_sides(name: str, unit: str, direction: str, definition: str) -> tuple[Metric, ...]:
    return tuple(
        Metric(
            f"{name}_{side}",
            unit,
            direction,  # type: ignore[arg-type]
            definition.format(side.replace("_", "-")),
            held_out=sealed,
            title=f"{side.replace('_', '-')} {name}",
        )
        for side, sealed in _SIDES.items()
    )


METRICS = (
    *_on_both_sides(
        "accuracy",
        "frac",
        "maximise",
        f"share of correct predictions among {_SCORED}; neither set is trained on, except for "
        "memorisation, where both are samples of the training data",
    ),
    *_on_both_sides("loss", "nats", "minimise", f"mean of -ln p over {_SCORED}"),
    Metric(
        "exact_match_held_out",
        "frac",
        "maximise",
        "share of held-out sequences whose scored tokens are all predicted correctly",
        held_out=True,
    ),
    Metric(
        "chance_accuracy",
        "frac",
        "none",
        "accuracy on the held-out set of guessing, at each position, the token that is most "
        "frequent there in 4,096 training sequences",
        title="accuracy by chance",
    ),
    Metric(
        "shortcut_accuracy",
        "frac",
        "none",
        "accuracy on the held-out set of a rule that does not solve the task. needle: any value of "
        "the sequence; brackets: balanced if as many open as close; decimal_addition: each digit "
        "without the carry; NaN for others",
    ),
    Metric("loss_train", "nats", "minimise", "mean loss of the last twentieth of the steps"),
    Metric(
        "steps_to_90",
        "steps",
        "minimise",
        "steps to the first evaluation with a validation accuracy of 0.9; NaN if there is none",
    ),
    Metric(
        "memorised_bits_per_parameter",
        "bits",
        "maximise",
        "memorisation: pairs times (log2 n_values - loss_validation / ln 2), over n_trainable; a "
        "lower bound on the capacity if the whole table is memorised; NaN for other tasks",
        title="memorised bits per trained parameter",
    ),
    *(
        Metric(
            f"{what}_variance_{when}frac",
            "frac",
            "none",
            f"share of the variance {_HIDDEN}, in the ten {which}{note}; 1 for a width of 10 or "
            "less",
            title=f"share of variance in ten {what}{note}",
        )
        for what, which in (
            ("components", "leading principal components"),
            ("neurons", "coordinates of largest variance"),
        )
        for when, note in (("", ""), ("initial_", ", before the first step"))
    ),
    Metric("n_parameters", "", "none", "parameters of the model"),
    Metric("n_trainable", "", "none", "trained parameters of the model"),
    Metric(
        "training_s",
        "s",
        "minimise",
        "wall time of the steps, including interrupted attempts up to their last checkpoint and "
        "the drawing of batches; excluding validation and checkpoints",
        timing=True,
    ),
    Metric(
        "tokens_per_s",
        "tokens/s",
        "maximise",
        "input tokens of training over training_s",
        timing=True,
    ),
)


def input_digests(config: EmbeddingOnlyConfig) -> dict[str, str]:
    """Digests of text and tokenizer, if the task has text."""
    return corpus_digests(config) if config.task == "language_modelling" else {}


_CAPTION = "Held-out sequences. One line per task and trained part of the model."


KIND = TrialKind(
    name="embedding_only",
    version=2,
    summary="A random transformer whose embeddings alone are trained, on tasks and on text.",
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
            caption="Accuracy of guessing the most frequent answer: the baseline of accuracies.",
        ),
        Chart(
            title="Memorised bits per trained parameter",
            x="d_model",
            y="memorised_bits_per_parameter",
            colour="trained",
            log_x=True,
            caption="Task memorisation only.",
        ),
        Chart(
            title="Variance of hidden states in ten directions",
            x="d_model",
            y="components_variance_frac",
            colour="trained",
            dash="task",
            log_x=True,
            caption="Share of the variance after the last block in ten principal components.",
        ),
    ),
)
