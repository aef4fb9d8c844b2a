"""Runs a trial of the kind `row_swap`, stage by stage.

Mode single: change rows and measure the damage, then fine-tune groups of rows (see `finetune`).
Mode cumulative: change more and more rows at once. Every stage is saved part by part, so that a
retry continues after the last part.
"""

from __future__ import annotations

import time
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from trials.api import Context, Table, TrialResult
from trials.inputs.corpora import TokenisedCorpus, open_corpus
from trials.inputs.models import LanguageModel, open_model
from trials.inputs.models.text import check_tokens
from trials.row_swap.damage import Damage, Original, damage, original, packed, unpacked
from trials.row_swap.finetune import Swap, fine_tune
from trials.row_swap.kind import RowSwapConfig
from trials.row_swap.metrics import SIDES, undefined
from trials.row_swap.results import (
    Measured,
    all_metrics,
    damage_figure,
    importance,
    predictors,
    recovery_figure,
    recovery_table,
    token_columns,
    token_table,
)
from trials.row_swap.rows import NewRows, row_cosines, rows_for_model, rows_now, untie, write_rows
from trials.row_swap.text import (
    Exposure,
    exposure,
    frequencies_of,
    strata_of,
    strata_table,
    tried_tokens,
)
from trials.training.parts import Parts

_ROWS_OF_A_BLOCK = 16


def run(config: RowSwapConfig, context: Context) -> TrialResult:
    """Load model and text, change rows, measure the damage, and fine-tune if asked."""
    started = time.perf_counter()
    # Adam moments of rows that hardly change become denormal, which is very slow.
    torch.set_flush_denormal(True)
    try:
        subject = open_subject(config, context)
        parts = Parts(context, f"{config.model_dump_json()} {subject.corpus.digest}")
        mode = _cumulative if config.mode == "cumulative" else _single
        result = mode(config, context, subject, parts)
    finally:
        torch.set_flush_denormal(False)
    parts.forget()
    spent = {"spent_s": time.perf_counter() - started + parts.earlier_s}
    return result._replace(metrics=dict(result.metrics) | spent)


class Subject(NamedTuple):
    """A model and its text. If only one side changes, each side has its own matrix."""

    opened: LanguageModel
    corpus: TokenisedCorpus


def open_subject(config: RowSwapConfig, context: Context) -> Subject:
    """Load both. Raises TrialError if the text is not in the tokens of the model."""
    fetch = context.fetch_artifact
    opened = open_model(config.model, fetch_artifact=fetch)
    corpus = open_corpus(config, n_threads=context.n_threads)
    check_tokens(opened, corpus, config, fetch_artifact=fetch)
    untie(opened, config.scope)
    return Subject(opened, corpus)


def _single(config: RowSwapConfig, context: Context, subject: Subject, parts: Parts) -> TrialResult:
    opened, corpus = subject
    frequencies = frequencies_of(config, corpus)
    strata = strata_of(config, corpus, frequencies.probabilities)
    tokens = tried_tokens(config, strata)
    text = {side: exposure(config, getattr(corpus, side), tokens, strata) for side in SIDES}
    before = {side: original(opened, text[side]) for side in SIDES}
    old = rows_now(opened, config.scope, tokens)
    drawn = rows_for_model(config, context, opened, tokens, strata.of_token)
    new = NewRows.of_matrices(drawn.rows, config.scope)

    start = damage_at_start(parts, opened, text, before, new)
    tuned, last = None, drawn.rows
    if config.n_steps:
        swap = Swap(opened, text, before, old, drawn.rows, start)
        tuned = fine_tune(config, parts, corpus, swap)
        last = tuned.rows

    measured = Measured(strata, text, before, start, tuned, row_cosines(last, old))
    of_tokens = predictors(corpus.counts[tokens] / corpus.counts.sum(), old, drawn)
    importances, importance_metrics = importance(start, of_tokens)
    recovery = recovery_table(measured)
    return TrialResult(
        metrics=all_metrics(measured, corpus.counts) | importance_metrics,
        tables={
            "rows": token_table(measured, corpus) | token_columns(start["held_out"], of_tokens),
            "strata": strata_table(strata, tokens, corpus.counts),
            "importance": importances,
            **recovery,
        },
        arrays={"rows": {"token_id": tokens, "old": old, "new": drawn.rows, "last": last}},
        figures={"damage": damage_figure(measured)}
        | {name: recovery_figure(table) for name, table in recovery.items()},
        facts=_facts(config, corpus, frequencies.name),
    )


def _cumulative(
    config: RowSwapConfig, context: Context, subject: Subject, parts: Parts
) -> TrialResult:
    opened, corpus = subject
    frequencies = frequencies_of(config, corpus)
    strata = strata_of(config, corpus, frequencies.probabilities)
    text = exposure(config, corpus.validation, np.arange(0), strata)
    order = np.random.default_rng([config.seed, 15]).permutation(corpus.n_vocab)
    drawn = rows_for_model(config, context, opened, order, strata.of_token)
    new = NewRows.of_matrices(drawn.rows, config.scope)
    table = cumulative_losses(parts, opened, text, order, new)
    return TrialResult(
        metrics=_cumulative_metrics(table),
        tables={"cumulative": table},
        facts=_facts(config, corpus, frequencies.name),
    )


def damage_at_start(
    parts: Parts,
    opened: LanguageModel,
    text: dict[str, Exposure],
    before: dict[str, Original],
    new: NewRows,
) -> dict[str, Damage]:
    """Damage of every token before training, by side. Each block of rows is a part of the trial."""
    n_tokens = len(next(iter(text.values())).tokens)

    def one_block(block: np.ndarray) -> dict[str, np.ndarray]:
        arrays: dict[str, np.ndarray] = {}
        for side, seen in text.items():
            arrays |= packed(damage(opened, seen, before[side], new.of(block), block), side)
        return arrays

    blocks = []
    for first in range(0, n_tokens, _ROWS_OF_A_BLOCK):
        block = np.arange(first, min(first + _ROWS_OF_A_BLOCK, n_tokens))
        name = f"changed-{first:05d}"
        blocks.append(parts.get_or_compute(name, int(block[-1]) + 1, partial(one_block, block)))
    return {side: unpacked(Damage, blocks, side) for side in text}


def cumulative_losses(
    parts: Parts, opened: LanguageModel, text: Exposure, order: np.ndarray, new: NewRows
) -> Table:
    """Loss with 0, 1, 2, 4, ... and all rows changed, one table row per number of changed rows.

    The loss at each number is a part of the trial. Afterwards, all rows of the model are changed.
    """
    base = torch.from_numpy(text.base)
    counts = [0, *(2**e for e in range(len(order).bit_length()) if 2**e < len(order)), len(order)]
    losses, done = [], 0
    for n in counts:
        added = np.arange(done, n)
        write_rows(opened, order[added], new.of(added))
        part = parts.get_or_compute(
            f"loss-{n:07d}", n, lambda: {"loss": np.array(_loss(opened, base))}
        )
        losses.append(float(part["loss"]))
        done = n
    return {"n_rows": counts, "loss": losses, "damage": [loss - losses[0] for loss in losses]}


def _loss(opened: LanguageModel, sequences: torch.Tensor) -> float:
    total = 0.0
    with torch.no_grad():
        for part in sequences.split(16):
            logits = opened.model(part[:, :-1]).logits
            targets = part[:, 1:].flatten()
            total += float(functional.cross_entropy(logits.flatten(0, 1), targets, reduction="sum"))
    return total / sequences[:, 1:].numel()


def _cumulative_metrics(table: Table) -> dict[str, float]:
    """Every metric except the time. Those of mode single are NaN."""
    return undefined() | {
        "rows_to_half": _rows_to_half(table),
        "damage_of_all_rows": float(table["damage"][-1]),
        "loss_before": float(table["loss"][0]),
        "n_tokens_tried": float(table["n_rows"][-1]),
    }


def _rows_to_half(table: Table) -> float:
    """Changed rows at which half of the damage of all is done, between counts by the logarithm."""
    damage, counts = np.array(table["damage"]), np.array(table["n_rows"], dtype=float)
    there = np.flatnonzero(damage >= damage[-1] / 2)
    if damage[-1] <= 0 or not len(there) or there[0] <= 1:
        return float("nan")
    i = int(there[0])
    share = (damage[-1] / 2 - damage[i - 1]) / (damage[i] - damage[i - 1])
    return float(np.exp(np.log(counts[i - 1]) * (1 - share) + np.log(counts[i]) * share))


def _facts(config: RowSwapConfig, corpus: TokenisedCorpus, frequencies: str) -> dict[str, str]:
    """Model, text and frequencies."""
    return {
        "model": config.model,
        "corpus": config.corpus,
        "frequencies": frequencies,
        "corpus_digest": corpus.digest,
        "tokenizer": config.tokenizer,
    }
