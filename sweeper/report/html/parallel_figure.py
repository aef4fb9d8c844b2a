"""Parallel coordinates: a line per setting across its fields and what it gave.

plotly's own `parcoords` is not in its basic bundle. Lines of a scatter do the same, and can be read
on a narrow screen.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from sweeper.declare.search import Search
from sweeper.records import Scalar
from sweeper.report.html.style import UNFIT, frame, scale, wrapped
from sweeper.report.html.tried import Tried, loss_under
from sweeper.report.words import natural, number, shown, title_of
from trials.api import TrialKind

MAX_LINES = 200
"""Most settings that are drawn."""

_N_SHADES = 8
_MAX_TICKS = 12


def draw_parallel(
    found: Sequence[Tried], fields: Sequence[str], kind: TrialKind, search: Search
) -> tuple[str, go.Figure]:
    """Caption and figure: fields first, then what the search ranks by, the best drawn last.

    Lines of a shade are one trace with gaps.
    """
    ranked = sorted(found, key=loss_under(search), reverse=True)
    chosen = np.linspace(0, len(ranked) - 1, min(len(ranked), MAX_LINES)).astype(int).tolist()
    lines = [ranked[at] for at in chosen]
    names = [*fields, *reversed(search.metrics)]
    axes = [_axis([_value(one, name) for one in found]) for name in names]
    figure = go.Figure(layout=frame("", ""))
    for group, colour in _shades(lines):
        heights: list[float | None] = []
        for one in group:
            pairs = zip(axes, names, strict=True)
            heights += [*(axis.height(_value(one, name)) for axis, name in pairs), None]
        figure.add_scatter(
            x=[*range(len(names)), None] * len(group),
            y=heights,
            mode="lines",
            line={"color": colour, "width": 1.4},
            opacity=0.8,
            hoverinfo="skip",
            showlegend=False,
        )
    for at, axis in enumerate(axes):
        for height, text in axis.ticks:
            figure.add_annotation(
                x=at,
                y=height,
                text=html.escape(text),
                showarrow=False,
                xanchor="left",
                xshift=4,
                bgcolor="rgba(255,255,255,0.8)",
                font={"size": 11},
            )
    figure.update_xaxes(
        tickvals=list(range(len(names))),
        ticktext=[wrapped(title_of(kind, name), 11) for name in names],
        tickangle=0,
        gridcolor="#9aa0aa",
        range=[-0.25, len(names) - 0.4],
    )
    figure.update_yaxes(visible=False, range=[-0.06, 1.06])
    caption = "One line per setting, the dark ones best"
    if len(lines) < len(found):
        caption += f"; {len(lines)} of {len(found):,}, evenly by rank"
    caption += "; grey: beyond a constraint." if search.constraints else "."
    return caption, figure


def _shades(lines: Sequence[Tried]) -> Iterator[tuple[list[Tried], str]]:
    """Groups of settings, from the worst to the best, each with its colour."""
    infeasible = [one for one in lines if not one.is_feasible]
    if infeasible:
        yield infeasible, UNFIT
    feasible = [one for one in lines if one.is_feasible]
    n = min(_N_SHADES, len(feasible))
    for at, colour in enumerate(scale(n)[::-1] if n else ()):
        yield feasible[at * len(feasible) // n : (at + 1) * len(feasible) // n], colour


class _Axis(NamedTuple):
    """An axis of the parallel coordinates: where a value lies on it, and its labels."""

    height: Callable[[Scalar], float]
    ticks: list[tuple[float, str]]


def _axis(values: Sequence[Scalar]) -> _Axis:
    """From the least to the largest number, in logarithms over decades; names at equal steps."""
    distinct = sorted(set(values), key=natural)
    numbers = [float(v) for v in distinct if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) < len(distinct):
        last = max(1, len(distinct) - 1)
        places = {value: at / last for at, value in enumerate(distinct)}
        ticks = [(place, shown(value)) for value, place in places.items()]
        return _Axis(places.__getitem__, ticks[:: 1 + len(ticks) // _MAX_TICKS])
    low, high = min(numbers), max(numbers)
    is_log = low > 0 and high > 10 * low

    def height(value: Any) -> float:
        if high == low:
            return 0.5
        if is_log:
            return math.log(value / low) / math.log(high / low)
        return float((value - low) / (high - low))

    middle = math.sqrt(low * high) if is_log else (low + high) / 2
    return _Axis(
        height, [(height(value), number(value, 3)) for value in sorted({low, middle, high})]
    )


def _value(one: Tried, name: str) -> Scalar:
    return one.params[name] if name in one.params else one.metrics[name]
