"""Real vs. null as a figure: the effect over the x at which the two are compared."""

from __future__ import annotations

import html
import itertools
import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from sweeper.records import Scalar
from sweeper.report.contrast import Contrast
from sweeper.report.html.points import MAX_COLOURS, MAX_POINTS, N_GATHERED, neighbours
from sweeper.report.html.style import INK, PALETTE, Y_TITLE, layout, log_axis, wrapped
from sweeper.report.words import axis_title, control_title, short_names, title_of
from sweeper.store.versions import INPUTS
from trials.api import Comparison, Control, TrialKind


def draw_effects(
    found: Sequence[Contrast],
    control: Control,
    comparison: Comparison,
    kind: TrialKind,
    *,
    name: str = "",
) -> go.Figure | None:
    """Real over (or minus) null at equal x: a point per setting, with intervals over seeds.

    `name` is the title of the y axis if another number is drawn.
    """
    inside = [c for c in found if c.effect.n and math.isfinite(c.at.mean)]
    if not inside:
        return None
    within = (*control.within, INPUTS)
    lines: dict[tuple[Scalar, ...], list[Contrast]] = defaultdict(list)
    for contrast in inside:
        setting = dict(contrast.setting)
        lines[contrast.null, *(setting.get(name) for name in within)].append(contrast)
    if is_crowded(inside, control):
        return _medians(inside, control, comparison, kind, name)
    names = short_names(list(lines), (control.field, *within))
    figure = _empty(inside, comparison, kind, name)
    for colour, (key, line) in zip(itertools.cycle(PALETTE), lines.items(), strict=False):
        line.sort(key=lambda c: c.at.mean)
        error = {
            "type": "data",
            "visible": any(c.effect.n > 1 for c in line),
            "thickness": 1.2,
            "symmetric": False,
            "array": [_reach(c.effect.high, c.effect.mean) for c in line],
            "arrayminus": [_reach(c.effect.mean, c.effect.low) for c in line],
        }
        figure.add_scatter(
            x=[c.at.mean for c in line],
            y=[c.effect.mean for c in line],
            error_y=error,
            mode="lines+markers",
            name=html.escape(names[key]),
            line={"color": colour, "width": 2},
            marker={"size": 7},
            hovertemplate="%{x:.4g}, %{y:.4g}<extra>%{fullData.name}</extra>",
        )
    return figure


def is_crowded(found: Sequence[Contrast], control: Control) -> bool:
    """Whether there are too many settings to draw each: then medians of neighbours are drawn."""
    fields = (*control.within, INPUTS)
    lines = {(c.null, *(dict(c.setting).get(name) for name in fields)) for c in found}
    return len(lines) > MAX_COLOURS or len(found) > MAX_POINTS


def _empty(
    inside: Sequence[Contrast], comparison: Comparison, kind: TrialKind, name: str
) -> go.Figure:
    """The axes, with a line where real equals the null."""
    figure = go.Figure(layout=layout(kind, comparison.at, comparison.of))
    is_ratio = comparison.shown == "ratio"
    figure.add_hline(y=1 if is_ratio else 0, line={"color": INK, "width": 1, "dash": "dot"})
    if not name:
        of = title_of(kind, comparison.of) if is_ratio else axis_title(kind, comparison.of)
        name = f"{of}: {'real / null' if is_ratio else 'real - null'}"
    figure.update_yaxes(title_text=wrapped(name, Y_TITLE))
    if min(c.at.min for c in inside) > 0:
        figure.update_xaxes(log_axis([c.at.mean for c in inside]))
    figure.update_layout(showlegend=True)
    return figure


def _medians(
    inside: Sequence[Contrast],
    control: Control,
    comparison: Comparison,
    kind: TrialKind,
    name: str,
) -> go.Figure:
    """Too many settings to tell apart: per null, the medians of neighbours along x."""
    figure = _empty(inside, comparison, kind, name)
    of_null: dict[Scalar, list[Contrast]] = defaultdict(list)
    for contrast in inside:
        of_null[contrast.null].append(contrast)
    for colour, (null, found) in zip(itertools.cycle(PALETTE), of_null.items(), strict=False):
        parts = neighbours(found, lambda c: c.at.mean, N_GATHERED)
        low, middle, high = (
            [float(np.quantile([c.effect.mean for c in part], q)) for part in parts]
            for q in (0.1, 0.5, 0.9)
        )
        title = html.escape(control_title(null, control))
        figure.add_scatter(
            x=[float(np.median([c.at.mean for c in part])) for part in parts],
            y=middle,
            error_y={
                "type": "data",
                "thickness": 1.2,
                "symmetric": False,
                "array": [b - a for a, b in zip(middle, high, strict=True)],
                "arrayminus": [b - a for a, b in zip(low, middle, strict=True)],
            },
            mode="lines+markers",
            name=title,
            line={"color": colour, "width": 2},
            marker={"size": 7},
            hovertemplate="%{x:.4g}, %{y:.4g}<extra></extra>",
        )
    return figure


def _reach(upper: float, lower: float) -> float:
    return upper - lower if math.isfinite(upper - lower) else 0.0
