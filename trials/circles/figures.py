"""Figures of ordered sets and of loops.

The plane is that of the leading principal components, which do not depend on labels. In a plane
fitted to the labels, so few points in so many dimensions would always lie on a circle.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trials.circles.labelled import Labelled
from trials.circles.search import Searched
from trials.inputs.rows import TokenRows

_PANELS = 6


def sets_figure(data: TokenRows, labelled: Labelled, verdicts: list[str]) -> Figure:
    """The sets with the smallest p-values, drawn as closed curves in their order."""
    order = np.argsort([one.p for one in labelled.results], kind="stable")[:_PANELS]
    figure, panels = _panels()
    for axes, i in zip(panels, order, strict=False):
        tokens, one = labelled.sets[i], labelled.results[i]
        at = _plane(data.rows[list(tokens.positions)])
        axes.plot(*np.vstack([at, at[:1]]).T, color="0.8", zorder=0)
        axes.scatter(at[:, 0], at[:, 1], c=tokens.places, cmap="twilight", s=18)
        _write(axes, at, list(tokens.words))
        axes.set_title(f"{tokens.name}: {verdicts[i]}, p {one.p:.2g}", fontsize="medium")
    return figure


def loops_figure(data: TokenRows, searched: Searched) -> Figure:
    """The candidates with the smallest p-values."""
    figure, panels = _panels()
    for axes, i in zip(panels, np.argsort(searched.p, kind="stable")[:_PANELS], strict=False):
        at = searched.fits[i].plane
        axes.scatter(at[:, 0], at[:, 1], s=10)
        _write(axes, at, [data.names[t].strip() for t in searched.candidates[i].tokens])
        verdict = "loop" if searched.discoveries.rejected[i] else "not found"
        axes.set_title(
            f"{searched.candidates[i].name.strip()}: {verdict}, p {searched.p[i]:.2g}",
            fontsize="medium",
        )
    return figure


def _panels() -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(11, 7), layout="constrained")
    grid = figure.subplots(2, 3)
    for axes in grid.ravel():
        axes.set_xticks([])
        axes.set_yticks([])
    return figure, list(grid.ravel())


def _write(axes: Axes, at: np.ndarray, texts: list[str]) -> None:
    for (x, y), text in zip(at, texts, strict=True):
        axes.annotate(text.replace("$", r"\$"), (x, y), fontsize=6)


def _plane(rows: np.ndarray) -> np.ndarray:
    left, singular, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    return np.asarray(left[:, :2] * singular[:2])
