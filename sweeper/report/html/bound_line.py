"""The limit that a chart draws through its real settings (`trials.api.Bound`)."""

from __future__ import annotations

import html
import itertools
import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from sweeper.records import Scalar
from sweeper.report.html.points import MAX_COLOURS, N_GATHERED, Point, neighbours
from sweeper.report.html.style import DASHES, INK
from sweeper.report.words import short_names
from sweeper.store.versions import INPUTS
from trials.api import Bound

MAX_BOUND_POINTS = 200
"""Most points of a bound's line."""


def add_bound(figure: go.Figure, points: Sequence[Point], bound: Bound) -> None:
    """The limit through the real settings of each group, without points of its own."""
    lines = _lines(points, bound)
    for dash, (name, line) in zip(itertools.cycle(DASHES), lines.items(), strict=False):
        line = sorted(line)[:: 1 + len(line) // MAX_BOUND_POINTS]
        figure.add_scatter(
            x=[x for x, _ in line],
            y=[y for _, y in line],
            mode="lines",
            name=html.escape(name),
            line={"color": INK, "width": 1.2, "dash": dash},
            hovertemplate="%{x:.4g}, %{y:.4g}<extra>%{fullData.name}</extra>",
        )
    if lines:
        figure.update_layout(showlegend=True)


def _lines(points: Sequence[Point], bound: Bound) -> dict[str, list[tuple[float, float]]]:
    """The bound (limit, y) of each group by its name; the medians of too many groups."""
    within = (*bound.within, INPUTS)
    groups: dict[tuple[Scalar, ...], list[tuple[float, float]]] = defaultdict(list)
    for point in points:
        first = point.rows[0]
        limit = float(np.mean([row.metrics.get(bound.x, math.nan) for row in point.rows]))
        if not first.is_control and math.isfinite(limit) and isinstance(point.y, int | float):
            groups[tuple(first.params.get(name) for name in within)].append((limit, point.y))
    if len(groups) <= MAX_COLOURS:
        names = short_names(list(groups), within) if len(groups) > 1 else {}
        return {
            ", ".join(filter(None, (bound.label, names.get(key)))): groups[key] for key in groups
        }
    every = [pair for line in groups.values() for pair in line]
    parts = neighbours(every, lambda pair: pair[1], N_GATHERED)
    return {f"{bound.label}, median": [_median(part) for part in parts]}


def _median(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    x, y = np.median(np.array(pairs), axis=0).tolist()
    return x, y
