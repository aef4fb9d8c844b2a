"""The kind `pretrain`: GPT-2 from scratch, with embeddings that are learned or frozen.

"Frozen" means nothing without `tying`: where input and output embedding are one matrix, freezing
it freezes the unembedding too. So tying has no default, and untied sides are frozen one by one.
Within a seed all arms see the same text in the same order and start from the same body.
"""

from __future__ import annotations

from trials.api import Chart, Context, TrialError, TrialKind, TrialResult
from trials.inputs.corpora import TokenisedCorpus, corpus_digests, open_corpus
from trials.pretrain.config import PretrainConfig
from trials.pretrain.metrics import METRICS


def run(config: PretrainConfig, context: Context) -> TrialResult:
    """Tokenise, draw the frozen rows, train, measure."""
    import torch

    from trials.inputs.models import ARCHITECTURE
    from trials.inputs.models.text import TEXT, text_table
    from trials.pretrain.artifacts import arrays, figures, loss_curve, vocabulary
    from trials.pretrain.course import follow, forget
    from trials.pretrain.evaluate import by_decile, evaluate
    from trials.pretrain.frozen import frozen_rows
    from trials.pretrain.measure import measure
    from trials.pretrain.model import architecture, build_model
    from trials.pretrain.train import Trainer

    corpus = open_corpus(config, n_threads=context.n_threads)
    _check_length(config, corpus)
    frozen = frozen_rows(config, corpus, context)
    # Moments of rare tokens' rows decay through numbers that are too small for their format.
    torch.set_flush_denormal(True)
    try:
        model = build_model(config, corpus.n_vocab, frozen.rows)
        trainer = Trainer(model, corpus.train, config, context.device)
        curve = follow(trainer, corpus, config, context)
        held_out = evaluate(trainer, corpus.held_out)
    finally:
        torch.set_flush_denormal(False)
    deciles = by_decile(held_out, corpus.counts)
    result = TrialResult(
        metrics=measure(trainer, corpus, curve[-1].loss_validation, held_out, deciles)
        | frozen.metrics(),
        arrays=arrays(trainer, context.checkpoint_dir, held_out),
        tables={
            "loss_curve": loss_curve(curve),
            "loss_by_frequency": deciles,
            "vocabulary": vocabulary(corpus),
            TEXT: text_table(config, corpus),
            ARCHITECTURE: architecture(config, corpus.n_vocab).table(),
        },
        figures=figures(curve),
        facts=_facts(config, corpus),
    )
    forget(context.checkpoint_dir)
    return result


def input_digests(config: PretrainConfig) -> dict[str, str]:
    """Digests of text, tokenizer, and of the rows that frozen ones are made from."""
    digests = corpus_digests(config)
    for side in config.sides:
        if config.needs_rows(side) and (uri := config.rows_from(side)):
            from trials.inputs.sources import source_digest

            digests[f"{side}_rows_from"] = source_digest(uri)
    return digests


def _check_length(config: PretrainConfig, corpus: TokenisedCorpus) -> None:
    for side in ("train", "validation", "held_out"):
        if (n := len(getattr(corpus, side))) <= config.context:
            raise TrialError(
                f"the {side} side of {config.corpus} has {n} tokens, a sequence takes "
                f"{config.context + 1}: use more text, a larger share, or a shorter context"
            )


def _facts(config: PretrainConfig, corpus: TokenisedCorpus) -> dict[str, str]:
    return {
        "corpus": config.corpus,
        "corpus_digest": corpus.digest,
        "split": "pieces of about 16,000 characters, dealt out in the order of the text",
        "tokenizer": config.tokenizer,
        "n_vocab": str(corpus.n_vocab),
        "n_train_tokens": str(len(corpus.train)),
        "bytes_per_token": f"{corpus.bytes_per_token['train']:.4g}",
        "row_norm": f"{config.resolved_row_norm:.4g}",
    }


_BY_ARM = "One point a trial; solid or dashed: whether the two embeddings are one matrix."

KIND = TrialKind(
    name="pretrain",
    version=2,
    summary="GPT-2 from scratch, its embeddings learned or frozen (random, permuted, learned).",
    config=PretrainConfig,
    metrics=METRICS,
    objective="loss_validation",
    run=run,
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
