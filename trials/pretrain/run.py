"""Runs a trial of the kind `pretrain`, and gathers its artifacts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from trials.api import Context, Table, TrialError, TrialResult
from trials.inputs.corpora import TokenisedCorpus, open_corpus
from trials.inputs.models import ARCHITECTURE
from trials.inputs.models.text import TEXT, text_table
from trials.pretrain.config import PretrainConfig
from trials.pretrain.measure import Evaluated, by_decile, evaluate, measure
from trials.pretrain.model import Trainer, architecture, build_model, frozen_rows
from trials.pretrain.training_loop import Point, forget, kept_embeddings, train


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


def arrays(trainer: Trainer, folder: Path, held_out: Evaluated) -> dict[str, dict[str, np.ndarray]]:
    """The embeddings of the snapshot steps, the training curves, and the model if asked.

    `training` has loss and gradient norm of every step; `held_out` the mean loss of each sequence
    of held-out text, in its order, which is the same for all arms. `model` has all weights under
    the names that transformers gives them, a tied matrix once.
    """
    training = {
        "loss": trainer.losses.cpu().numpy(),
        "gradient_norm": trainer.gradient_norms.cpu().numpy(),
    }
    sequences = held_out.losses.reshape(-1, trainer.config.context).mean(axis=1)
    tensors = {
        **kept_embeddings(trainer.config, folder),
        "training": training,
        "held_out": {"loss": sequences.astype(np.float32)},
    }
    if trainer.config.keep_model:
        weights = dict(trainer.model.named_parameters())
        tensors["model"] = {name: p.detach().cpu().numpy() for name, p in weights.items()}
    return tensors


def loss_curve(curve: list[Point]) -> Table:
    """One row per evaluation."""
    return dict(zip(Point._fields, map(list, zip(*curve, strict=True)), strict=True))


def vocabulary(corpus: TokenisedCorpus) -> Table:
    """One row per token id, as `run:` sources read it, with its count in the training text."""
    return {
        "token": corpus.vocabulary.tokens,
        "special": corpus.vocabulary.special.astype(int).tolist(),
        "merge_rank": corpus.vocabulary.merge_rank.tolist(),
        "count": corpus.counts.tolist(),
    }


def figures(curve: list[Point]) -> dict[str, Figure]:
    """Loss against tokens."""
    table = loss_curve(curve)
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.add_subplot(title="Training", xlabel="tokens", ylabel="loss (nats per token)")
    axes.plot(table["n_tokens"], table["loss_batches"], label="batches since the last evaluation")
    axes.plot(table["n_tokens"], table["loss_validation"], label="validation text")
    axes.legend()
    return {"loss_curve": figure}
