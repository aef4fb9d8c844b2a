"""The metrics of the kind `pretrain`, each with its exact definition."""

from __future__ import annotations

from trials.api import Metric

_NATS = "mean over the tokens of the {} side (evenly spaced sequences, evaluation_tokens of them) \
of -ln p(token | the tokens before it in its sequence)"

_RARE = {"frequent": "most frequent tenth", "rare": "rarest tenth"}

METRICS = (
    Metric(
        "loss_validation",
        "nats",
        "minimise",
        _NATS.format("validation") + ", after the last step",
    ),
    Metric("loss_held_out", "nats", "minimise", _NATS.format("held-out"), held_out=True),
    Metric(
        "bits_per_byte_held_out",
        "bits",
        "minimise",
        "loss_held_out / ln 2 over the bytes of text a token of the held-out side stands for on "
        "average (UTF-8, ends of text counted as tokens without bytes)",
        held_out=True,
    ),
    *(
        Metric(
            f"loss_{which}_{side}_held_out",
            "nats",
            "minimise",
            f"loss_held_out over the tokens {place} one of the {of} of the vocabulary by "
            "occurrences in the training text; NaN if none occurs",
            held_out=True,
        )
        for side, place in (("input", "that follow"), ("target", "that are"))
        for which, of in _RARE.items()
    ),
    Metric(
        "loss_train",
        "nats",
        "minimise",
        "mean loss of the batches of the last twentieth of the steps, each before its step",
    ),
    Metric("gradient_norm", "", "none", "length of the last gradient, before it was clipped to 1"),
    Metric(
        "rows_max_cosine",
        "",
        "none",
        "largest |cosine| of two frozen random rows, the larger one of two sides; NaN without",
    ),
    Metric(
        "rows_rejections",
        "",
        "none",
        "proposals that rejection sampling of the frozen random rows refused, both sides; NaN "
        "without",
    ),
    Metric(
        "rows_expected_rejections",
        "",
        "none",
        "the number of refused proposals that theory expects, both sides; NaN without",
    ),
    Metric("n_parameters", "", "none", "numbers in the model, a tied matrix once"),
    Metric("n_trainable", "", "none", "numbers in the model that are trained"),
    Metric("n_steps", "", "none", "steps of training"),
    Metric("n_epochs", "", "none", "tokens of training over tokens of the training text"),
    Metric(
        "training_s",
        "s",
        "minimise",
        "wall time of the steps, interrupted tries included up to their last checkpoint; "
        "validation, snapshots and checkpoints left out",
        timing=True,
    ),
    Metric(
        "tokens_per_s", "tokens/s", "maximise", "tokens of training over training_s", timing=True
    ),
    Metric(
        "flop_utilisation",
        "frac",
        "maximise",
        "tokens_per_s times the FLOP of a token, over the GPU's peak at this precision; a token "
        "takes 6 FLOP for each weight of a matrix product, the output embedding included, and 12 "
        "n_layers d_model context for attention, whatever is frozen; NaN where no peak is known",
        timing=True,
    ),
)
