"""How a figure looks: colours, dashes, axes. Light, calm, and safe for any colour vision."""

from __future__ import annotations

import html
import itertools
import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from sweeper.records import Scalar
from sweeper.report.words import axis_title, number, shown
from trials.api import TrialKind

# Okabe and Ito (2008), for readers of any colour vision; their yellow is too faint on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#4D4D4D")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
INK, GRID = "#2b2f36", "#e7e9ee"
UNFIT = "#b9bec7"
"""The colour of what breaks a constraint."""
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


X_TITLE, Y_TITLE = 48, 40
"""Characters on a line of a title: what fits a narrow screen, and the height of a chart."""


def wrapped(title: str, width: int) -> str:
    """A title as escaped text, on lines of up to `width` characters where words allow."""
    return "<br>".join(html.escape(line) for line in textwrap.wrap(title, width))


def layout(kind: TrialKind, x_name: str, y_name: str) -> go.Layout:
    """`frame` with axes titled by names and units of a kind."""
    return frame(axis_title(kind, x_name), axis_title(kind, y_name))


def frame(x_title: str, y_title: str) -> go.Layout:
    """White, light grid, the legend above the plot."""
    axis = {
        "gridcolor": GRID,
        "linecolor": "#9aa0aa",
        "zeroline": False,
        "ticks": "outside",
        "tickcolor": "#9aa0aa",
        "automargin": True,
        "exponentformat": "power",
    }
    x, y = (
        {"title": {"text": wrapped(title, width), "font": {"size": 14}}}
        for title, width in ((x_title, X_TITLE), (y_title, Y_TITLE))
    )
    return go.Layout(
        template="none",
        font={"family": FONT, "size": 13, "color": INK},
        paper_bgcolor="#ffffff",
        plot_bgcolor="#ffffff",
        height=440,
        margin={"l": 60, "r": 16, "t": 16, "b": 56},
        hoverlabel={"align": "left", "bgcolor": "#ffffff", "font": {"color": INK}},
        legend={
            "orientation": "h",
            "y": 1.02,
            "yanchor": "bottom",
            "x": 0,
            "title": {"font": {"size": 13}},
        },
        xaxis=axis | x,
        yaxis=axis | y,
    )


def log_axis(values: Sequence[float]) -> dict[str, Any]:
    """Ticks in plain numbers: at the values where they are a few integers, else round."""
    distinct = sorted(set(values))
    low, high = distinct[0], distinct[-1]
    if len(distinct) <= 8 and all(value == int(value) for value in distinct):
        ticks = [float(value) for value in distinct]
    else:
        steps = (1, 1.5, 2, 3, 5, 7) if high < 10 * low else (1, 2, 5) if high < 1e3 * low else (1,)
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [step * 10.0**power for power in powers for step in steps]
    return {"type": "log", "tickvals": ticks, "ticktext": [number(tick) for tick in ticks]}


def colours(values: Sequence[Scalar]) -> dict[Scalar, str]:
    """A colour per value: the palette for a few names, a scale for numbers and for many."""
    numeric = all(isinstance(value, int | float) for value in values)
    if len(values) > len(PALETTE) or (numeric and len(values) > 3):
        return dict(zip(values, scale(len(values)), strict=True))
    return dict(zip(values, PALETTE, strict=False))


def colour_bar(values: Sequence[Scalar], title: str) -> go.Scatter:
    """A colour scale in place of a legend that would be too long; its points are invisible."""
    last = len(values) - 1
    ticks = sorted({0, last // 2, last})
    bar = {
        "title": {"text": html.escape(title), "font": {"size": 13}},
        "tickvals": ticks,
        "ticktext": [html.escape(shown(values[tick])) for tick in ticks],
        "thickness": 12,
        "outlinewidth": 0,
    }
    steps = [[i / 10, colour] for i, colour in enumerate(scale(11))]
    marker = {"color": [0, last], "cmin": 0, "cmax": last, "colorscale": steps, "colorbar": bar}
    return go.Scatter(
        x=[None, None], y=[None, None], mode="markers", marker=marker, showlegend=False
    )


def scale(n: int) -> list[str]:
    """`n` colours: Viridis without its end, which is too pale for a line on white."""
    return list(sample_colorscale("Viridis", np.linspace(0.0, 0.82, n).tolist()))


def dashes(values: Sequence[Scalar], real: Scalar) -> dict[Scalar, str]:
    """Solid for `real` (for the first if it is not among them), the others in their order."""
    ordered = sorted(values, key=lambda value: value != real)
    return dict(
        zip(ordered, itertools.chain(DASHES[:1], itertools.cycle(DASHES[1:])), strict=False)
    )
