"""Runs a trial of the kind `row_swap`."""

from __future__ import annotations

import time

import numpy as np
import torch

from trials.api import Context, TrialResult
from trials.row_swap.damage import original
from trials.row_swap.draws import rows_for_model
from trials.row_swap.kind import RowSwapConfig
from trials.row_swap.metrics import SIDES
from trials.row_swap.model_and_text import (
    NewRows,
    Subject,
    exposure,
    open_subject,
    rows_now,
    tried_tokens,
)
from trials.row_swap.results import (
    Measured,
    all_metrics,
    cumulative_metrics,
    damage_by_step_table,
    damage_figure,
    facts,
    importance,
    predictors,
    row_cosines,
    token_columns,
    token_table,
)
from trials.row_swap.stages import Recovered, cumulative_losses, damage_at_start, recover
from trials.training.parts import Parts


def run(config: RowSwapConfig, context: Context) -> TrialResult:
    """Load model and text, change rows, measure the damage, and train further if asked."""
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


def _single(config: RowSwapConfig, context: Context, subject: Subject, parts: Parts) -> TrialResult:
    opened, corpus = subject
    tokens = tried_tokens(config, corpus)
    text = {side: exposure(config, corpus, getattr(corpus, side), tokens) for side in SIDES}
    before = {side: original(opened, text[side]) for side in SIDES}
    old = rows_now(opened, config.scope, tokens)
    drawn = rows_for_model(config, context, opened, tokens, text["validation"].strata)
    new = NewRows.of_matrices(drawn.rows, config.scope)

    start = damage_at_start(parts, opened, text, before, new)
    damage_by_step, last = Recovered({}, drawn.rows)
    if config.n_steps:
        damage_by_step, last = recover(config, parts, opened, corpus, text, before, new)

    measured = Measured(text, before, start, damage_by_step, row_cosines(last, old))
    of_tokens = predictors(corpus.counts[tokens] / corpus.counts.sum(), old, drawn)
    importances, importance_metrics = importance(start, of_tokens)
    return TrialResult(
        metrics=all_metrics(measured) | importance_metrics,
        tables={
            "rows": token_table(measured, corpus) | token_columns(start["held_out"], of_tokens),
            "importance": importances,
            **damage_by_step_table(damage_by_step),
        },
        arrays={"rows": {"token_id": tokens, "old": old, "new": drawn.rows, "last": last}},
        figures={"damage": damage_figure(measured)},
        facts=facts(config, corpus),
    )


def _cumulative(
    config: RowSwapConfig, context: Context, subject: Subject, parts: Parts
) -> TrialResult:
    opened, corpus = subject
    text = exposure(config, corpus, corpus.validation, np.arange(0))
    order = np.random.default_rng([config.seed, 15]).permutation(corpus.n_vocab)
    drawn = rows_for_model(config, context, opened, order, text.strata)
    new = NewRows.of_matrices(drawn.rows, config.scope)
    table = cumulative_losses(parts, opened, text, order, new)
    return TrialResult(
        metrics=cumulative_metrics(table),
        tables={"cumulative": table},
        facts=facts(config, corpus),
    )
