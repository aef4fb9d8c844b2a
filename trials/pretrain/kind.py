"""The kind `pretrain`: GPT-2 from scratch, with embeddings that are learned or frozen.

What "frozen" means depends on `tying`: if input and output embedding are one matrix, freezing it
freezes the unembedding too. So `tying` has no default, and untied sides are frozen separately.
For one seed, all arms see the same text in the same order and start from the same body.
"""

from __future__ import annotations

import hashlib

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
        title="validation loss",
    ),
    Metric(
        "loss_held_out",
        "nats",
        "minimise",
        _NATS.format("held-out"),
        held_out=True,
        title="held-out loss",
    ),
    Metric(
        "bits_per_byte_held_out",
        "bits",
        "minimise",
        "loss_held_out / ln 2 over the mean bytes of text per token of the held-out side (UTF-8; "
        "end-of-text tokens count as tokens without bytes)",
        held_out=True,
        title="held-out bits per byte",
    ),
    *(
        Metric(
            f"loss_{which}_{side}_held_out",
            "nats",
            "minimise",
            f"loss_held_out over the tokens {place} one of the {of} of the vocabulary by "
            "occurrences in the training text; NaN if none occurs",
            held_out=True,
            title=f"held-out loss, {which} {side}s",
        )
        for side, place in (("input", "that follow"), ("target", "that are"))
        for which, of in _RARE.items()
    ),
    Metric(
        "loss_train",
        "nats",
        "minimise",
        "mean loss of the batches in the last twentieth of the steps, each before its step",
    ),
    Metric("gradient_norm", "", "none", "norm of the last gradient, before clipping to 1"),
    Metric(
        "rows_max_cosine",
        "",
        "none",
        "largest |cosine| between two frozen random rows, maximum over sides; NaN without any",
        title="largest |cosine| between frozen rows",
    ),
    Metric(
        "rows_rejections",
        "",
        "none",
        "proposals rejected while sampling the frozen random rows, both sides; NaN without any",
        title="rejected proposals of frozen rows",
    ),
    Metric(
        "rows_expected_rejections",
        "",
        "none",
        "expected number of rejected proposals in theory, both sides; NaN without any",
        title="expected rejected proposals of frozen rows",
    ),
    Metric("n_parameters", "", "none", "parameters of the model; a tied matrix counts once"),
    Metric("n_trainable", "", "none", "trained parameters of the model"),
    Metric("n_steps", "", "none", "steps of training"),
    Metric("n_epochs", "", "none", "tokens of training over tokens of the training text"),
    Metric(
        "training_s",
        "s",
        "minimise",
        "wall time of the steps, including interrupted attempts up to their last checkpoint; "
        "excluding validation, snapshots and checkpoints",
        timing=True,
    ),
    Metric(
        "tokens_per_s", "tokens/s", "maximise", "tokens of training over training_s", timing=True
    ),
    Metric(
        "flop_utilisation",
        "frac",
        "maximise",
        "tokens_per_s times the FLOP per token, over the peak of the GPU at this precision; a "
        "token takes 6 FLOP per weight of a matrix product, including the output embedding, and 12 "
        "n_layers d_model context for attention, whatever is frozen; NaN if the peak is unknown",
        timing=True,
    ),
)


def input_digests(config: PretrainConfig) -> dict[str, str]:
    """Digests of text and tokenizer, and of the sources of frozen rows.

    Of several sources all count, so that the seeds that share them out are replicates.
    """
    digests = corpus_digests(config)
    for side in config.sides:
        if config.needs_rows(side) and (uris := config.all_rows_from(side)):
            each = [source_digest(uri) for uri in uris]
            joined = hashlib.sha256(" ".join(each).encode()).hexdigest()
            digests[f"{side}_rows_from"] = each[0] if len(each) == 1 else joined
    return digests


_BY_ARM = "One point per trial; solid or dashed: whether the two embeddings are one matrix."


KIND = TrialKind(
    name="pretrain",
    version=3,
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
            title="Rejections for a threshold on cosines",
            x="rows_expected_rejections",
            y="rows_rejections",
            colour="rows_method",
            log_x=True,
            log_y=True,
            caption="Rejected proposals, against the number that theory expects.",
        ),
    ),
)
