"""Runs a trial of the kind `pretrain`."""

from __future__ import annotations

import torch

from trials.api import Context, TrialError, TrialResult
from trials.inputs.corpora import TokenisedCorpus, open_corpus
from trials.inputs.models import ARCHITECTURE
from trials.inputs.models.text import TEXT, text_table
from trials.pretrain.artifacts import arrays, figures, loss_curve, vocabulary
from trials.pretrain.config import PretrainConfig
from trials.pretrain.measure import by_decile, evaluate, measure
from trials.pretrain.model import Trainer, architecture, build_model, frozen_rows
from trials.pretrain.training_loop import forget, train


def run(config: PretrainConfig, context: Context) -> TrialResult:
    """Tokenise, draw the frozen rows, train, measure."""
    corpus = open_corpus(config, n_threads=context.n_threads)
    _check_length(config, corpus)
    frozen = frozen_rows(config, corpus, context)
    # Adam moments of the rows of rare tokens become denormal, which is very slow.
    torch.set_flush_denormal(True)
    try:
        model = build_model(config, corpus.n_vocab, frozen.rows)
        trainer = Trainer(model, corpus.train, config, context.device)
        curve = train(trainer, corpus, config, context)
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
