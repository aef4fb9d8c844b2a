"""The kind `pretrain`: GPT-2 from scratch, with embeddings that are learned or frozen.

"Frozen" means nothing without `tying`: where input and output embedding are one matrix, freezing
it freezes the unembedding too. So tying has no default, and untied sides are frozen one by one.
Within a seed all arms see the same text in the same order and start from the same body.
"""

from __future__ import annotations

from trials.api import Chart, Metric, TrialKind
from trials.inputs.corpora import corpus_digests
from trials.inputs.sources import source_digest
from trials.pretrain.config import PretrainConfig

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


def input_digests(config: PretrainConfig) -> dict[str, str]:
    """Digests of text, tokenizer, and of the rows that frozen ones are made from."""
    digests = corpus_digests(config)
    for side in config.sides:
        if config.needs_rows(side) and (uri := config.rows_from(side)):
            digests[f"{side}_rows_from"] = source_digest(uri)
    return digests


_BY_ARM = "One point a trial; solid or dashed: whether the two embeddings are one matrix."


KIND = TrialKind(
    name="pretrain",
    version=2,
    summary="GPT-2 from scratch, its embeddings learned or frozen (random, permuted, learned).",
    config=PretrainConfig,
    metrics=METRICS,
    objective="loss_validation",
    run="trials.pretrain.run:run",
    input_digests=input_digests,
    reports=("loss_validation",),
    charts=(
        Chart(
            title="Loss by what is frozen",
            x="input_embedding",
            y="loss_held_out",
            colour="output_embedding",
            dash="tying",
            caption=_BY_ARM,
        ),
        Chart(
            title="Loss on rare tokens by what is frozen",
            x="input_embedding",
            y="loss_rare_target_held_out",
            colour="output_embedding",
            dash="tying",
            caption=f"The rarest tenth of the vocabulary as targets. {_BY_ARM}",
        ),
        Chart(
            title="Loss against the threshold on cosines",
            x="rows_max_cosine",
            y="loss_held_out",
            colour="input_embedding",
            dash="tying",
            caption="Frozen random rows, no two of which have a larger |cosine|.",
        ),
        Chart(
            title="What a threshold costs",
            x="rows_expected_rejections",
            y="rows_rejections",
            colour="rows_method",
            log_x=True,
            log_y=True,
            caption="Proposals that rejection sampling refused, against those that theory expects.",
        ),
    ),
)
