"""The verdict on the page: sentences, charts and tables."""

from __future__ import annotations

import math

from study.report.figures import draw_arms, draw_training
from study.verdict.decide import Verdict
from study.verdict.page import (
    closing_sentences,
    contrast_cells,
    curve_cells,
    fit_cells,
    floor_sentences,
    size_cells,
)
from sweeper.report.html.page import Plot, plot
from sweeper.report.tables import Grid


def numbers(verdict: Verdict) -> list[str]:
    """The sentences that give the verdict's numbers."""
    h1, h2 = verdict.h1, verdict.h2
    sentences = []
    if h1.gap is not None:
        cells = contrast_cells("", h1.gap)
        share = verdict.rule.values.worse.tokens_share
        sentences.append(
            f"Frozen random input rows cost {cells[1]} nats per token, interval {cells[2]}, over "
            f"{cells[4]} seeds. To reach the loss of learned rows at {share:.0%} of the budget "
            f"they take {cells[3]} times the tokens."
        )
    sentences += closing_sentences(verdict)
    if math.isfinite(h2.over_null[0]):
        mean, low, high = h2.over_null
        sentences.append(
            f"At the last checkpoint the real error is {mean:.3g} [{low:.3g}, {high:.3g}] times "
            "the null's at the same number of atoms."
        )
    if h2.fitted is not None:
        found = h2.fitted
        sentences.append(
            f"Over the last decade of training the real error scales as step to the power "
            f"{-found.slope:.3g} [{-found.slope_high:.3g}, {-found.slope_low:.3g}]."
        )
    sentences += floor_sentences(verdict)
    return sentences


def training(verdict: Verdict) -> list[Plot]:
    """Charts of the error over training, for the first groups of models."""
    plots = []
    for models in verdict.groups_with_curve[:4]:
        if (figure := draw_training(models)) is not None:
            caption = (
                f"{models.title}: mean over {len(models.models)} models at equal atoms per token; "
                "band: smallest to largest; dashed: the null of each checkpoint."
            )
            plots.append(plot("Error over training", caption, figure))
    return plots


def arms(verdict: Verdict) -> tuple[Plot | None, Grid | None]:
    """What frozen rows cost as a chart and a table; None where nothing was compared."""
    contrasts = list(verdict.others)
    if verdict.h1.gap is not None:
        title = f"input rows frozen ({verdict.h1.rows_distribution})"
        contrasts.insert(0, (title, verdict.h1.gap))
    if not contrasts:
        return None, None
    figure = draw_arms(contrasts)
    caption = (
        "Loss on held-out text of each arm minus its reference, paired by seed. Bars: interval "
        "over seeds (start, order of the text, random rows) and held-out sequences. It does "
        "not cover other texts, sizes or sources of trained rows."
    )
    drawn = plot("What frozen rows cost", caption, figure)
    columns = ["arm minus reference", "nats", "interval", "tokens ratio", "seeds", "runs"]
    return drawn, Grid(columns, [contrast_cells(title, found) for title, found in contrasts])


def curves(verdict: Verdict) -> Grid | None:
    """One row per group of models with a curve; None without any."""
    if not verdict.groups_with_curve:
        return None
    columns = ["models", "number", "steps", "first", "last", "over null", "runs"]
    return Grid(columns, [curve_cells(models) for models in verdict.groups_with_curve])


def fits(verdict: Verdict) -> Grid | None:
    """One row per form of the curve; None where none was fitted."""
    if verdict.h2.fitted is None:
        return None
    columns = ["form", "chi2 / dof", "prediction", "accepted", "end", "interval"]
    return Grid(columns, fit_cells(verdict))


def sizes(verdict: Verdict) -> Grid | None:
    """One row per size of the dictionary; None where there are fewer than two."""
    if len(verdict.h2.sizes) < 2:
        return None
    columns = ["size of the dictionary", "models", "error at the last step", "over null", "runs"]
    return Grid(columns, size_cells(verdict))
