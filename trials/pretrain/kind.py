"""The kind `pretrain`: GPT-2 from scratch, with embeddings that are learned or frozen.

"Frozen" means nothing without `tying`: where input and output embedding are one matrix, freezing
it freezes the unembedding too. So tying has no default, and untied sides are frozen one by one.
Within a seed all arms see the same text in the same order and start from the same body.
"""

from __future__ import annotations

from trials.api import Chart, TrialKind
from trials.inputs.corpora import corpus_digests
from trials.pretrain.config import PretrainConfig
from trials.pretrain.metrics import METRICS


def input_digests(config: PretrainConfig) -> dict[str, str]:
    """Digests of text, tokenizer, and of the rows that frozen ones are made from."""
    digests = corpus_digests(config)
    for side in config.sides:
        if config.needs_rows(side) and (uri := config.rows_from(side)):
            from trials.inputs.sources import source_digest

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
