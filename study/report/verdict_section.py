"""The verdict on the page: its sentences, charts and tables."""

from __future__ import annotations

import math

from study.report.figures import draw_arms, draw_training
from study.report.section import Grid
from study.verdict.decide import Verdict
from study.verdict.page import (
    closing_sentences,
    contrast_cells,
    curve_cells,
    fit_cells,
    floor_sentences,
    size_cells,
)
from sweeper.report.html.page import Plot, figure_json


def numbers(verdict: Verdict) -> list[str]:
    """The sentences that carry the verdict's numbers."""
    worse, ends = verdict.worse, verdict.ends
    sentences = []
    if worse.gap is not None:
        cells = contrast_cells("", worse.gap)
        share = verdict.rule.values.worse.tokens_share
        sentences.append(
            f"Frozen random input rows cost {cells[1]} nats a token, interval {cells[2]}, over "
            f"{cells[4]} seeds; to the loss that learned rows give at {share:.0%} of the budget "
            f"they take {cells[3]} times the tokens."
        )
    sentences += closing_sentences(verdict)
    if math.isfinite(ends.over_null[0]):
        mean, low, high = ends.over_null
        sentences.append(
            f"At the last checkpoint the real error is {mean:.3g} [{low:.3g}, {high:.3g}] of the "
            "null's at the same number of atoms."
        )
    if ends.found is not None:
        found = ends.found
        sentences.append(
            f"Over the last decade of training it falls as step to the power "
            f"{-found.slope:.3g} [{-found.slope_high:.3g}, {-found.slope_low:.3g}]."
        )
    sentences += floor_sentences(verdict)
    return sentences


def training(verdict: Verdict) -> list[Plot]:
    """Error over training, of the first groups of models."""
    plots = []
    for models in verdict.followed[:4]:
        if (figure := draw_training(models)) is not None:
            caption = (
                f"{models.title}: mean over {len(models.models)} models at equal atoms a token, "
                "band from the least to the largest; dashed: the null of each checkpoint."
            )
            plots.append(Plot("Error over training", caption, figure_json(figure), ""))
    return plots


def arms(verdict: Verdict) -> tuple[Plot | None, Grid | None]:
    """What frozen rows cost as a chart and a table; None where nothing was compared."""
    contrasts = list(verdict.others)
    if verdict.worse.gap is not None:
        title = f"input rows frozen ({verdict.worse.rows_distribution})"
        contrasts.insert(0, (title, verdict.worse.gap))
    if not contrasts:
        return None, None
    figure = draw_arms(contrasts)
    caption = (
        "Loss on held-out text of each arm less its reference, paired by seed; bars: interval."
    )
    plot = Plot("What frozen rows cost", caption, figure_json(figure), "")
    columns = ["arm less reference", "nats", "interval", "tokens ratio", "seeds", "runs"]
    return plot, Grid(columns, [contrast_cells(title, found) for title, found in contrasts])


def curves(verdict: Verdict) -> Grid | None:
    """One row a group of models with a curve; None without any."""
    if not verdict.followed:
        return None
    columns = ["models", "number", "steps", "first", "last", "over null", "runs"]
    return Grid(columns, [curve_cells(models) for models in verdict.followed])


def fits(verdict: Verdict) -> Grid | None:
    """One row a form of the curve; None where none was fitted."""
    if verdict.ends.found is None:
        return None
    columns = ["form", "chi2 / dof", "prediction", "accepted", "end", "interval"]
    return Grid(columns, fit_cells(verdict))


def sizes(verdict: Verdict) -> Grid | None:
    """One row a size of the dictionary; None where there are fewer than two."""
    if len(verdict.ends.sizes) < 2:
        return None
    columns = ["size of the dictionary", "models", "error at the last step", "over null", "runs"]
    return Grid(columns, size_cells(verdict))
