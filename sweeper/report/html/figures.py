"""Plotly figures from the charts of a kind. Every text in them is data, and is escaped."""

from __future__ import annotations

import html
import itertools
import math
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from sweeper.records import SEED, Scalar, TrialRow, TrialState
from sweeper.report.html.style import (
    DASHES,
    INK,
    MANY,
    colour_bar,
    colours,
    dashes,
    layout,
    log_axis,
)
from sweeper.report.summary import varying_fields
from sweeper.report.words import axis_title, natural, number, short_names, shown, spaced
from sweeper.store.versions import INPUTS
from trials.api import Bound, Chart, TrialKind


class Drawn(NamedTuple):
    """A figure, or a sentence that says why there is none."""

    figure: go.Figure | None
    note: str = ""


def draw(chart: Chart, rows: Sequence[TrialRow], kind: TrialKind) -> Drawn:
    """The chart of the complete trials: colours and dashes as declared, uncertified as crosses."""
    complete = [row for row in rows if row.state is TrialState.COMPLETE]
    for name in (chart.x, chart.y):
        if not any(_value(row, name) is not None for row in complete):
            return Drawn(None, f"“{chart.title}” is not drawn: no trial has {spaced(name)}.")
    points = [row for row in complete if _has_point(row, chart)]
    if not points:
        return Drawn(None, f"“{chart.title}” is not drawn: no trial has a value on both axes.")

    figure = go.Figure(layout=layout(kind, chart.x, chart.y))
    _add_lines(figure, points, chart, kind)
    if chart.bound is not None:
        _add_bound(figure, points, chart.bound, chart.y)
    _shape_axes(figure, points, chart)
    left_out = len(complete) - len(points)
    lost = f"{left_out} of {len(complete)} complete trials have no place on these axes."
    return Drawn(figure, lost if left_out else "")


def _add_lines(
    figure: go.Figure, points: Sequence[TrialRow], chart: Chart, kind: TrialKind
) -> None:
    control = kind.control
    dash_field = chart.dash or (control.field if control else "")
    real = control.real if control and control.field == dash_field else None
    colour_of = colours(_values(points, chart.colour))
    dash_of = dashes(_values(points, dash_field), real)
    is_scale = len(colour_of) > MANY
    named: set[str] = set()
    lines = list(_lines(points, chart, kind, dash_field))
    # Solid lines come first: the first of a colour is what the legend shows.
    lines.sort(key=lambda line: list(dash_of).index(_param(line[0], dash_field)))
    for line in lines:
        colour, dash = _param(line[0], chart.colour), _param(line[0], dash_field)
        group = shown(colour if chart.colour else dash)
        trace = _trace(line, chart, kind, colour_of[colour], dash_of[dash])
        in_legend = group not in named and not is_scale
        trace.update(name=html.escape(group), legendgroup=group, showlegend=in_legend)
        figure.add_trace(trace)
        named.add(group)
    if is_scale:
        figure.add_trace(colour_bar(list(colour_of), spaced(chart.colour)))
    if chart.colour:
        title = "" if is_scale else html.escape(spaced(chart.colour))
        figure.update_layout(legend_title_text=title)
        _explain_dashes(figure, dash_field, dash_of)


def _add_bound(figure: go.Figure, points: Sequence[TrialRow], bound: Bound, y: str) -> None:
    """The limit through the real trials of each group, without points of its own."""
    within = (*bound.within, INPUTS)
    groups: dict[tuple[Scalar, ...], list[tuple[float, float]]] = defaultdict(list)
    for row in points:
        limit, height = row.metrics.get(bound.x, math.nan), row.metrics.get(y, math.nan)
        if not row.is_control and math.isfinite(limit) and math.isfinite(height):
            group = tuple(row.params.get(name) for name in within)
            groups[group].append((limit, height))
    names = short_names(list(groups), within) if len(groups) > 1 else {}
    for dash, key in zip(itertools.cycle(DASHES), groups, strict=False):
        line = sorted(groups[key])
        name = f"{bound.label}, {names[key]}" if names else bound.label
        figure.add_scatter(
            x=[x for x, _ in line],
            y=[y for _, y in line],
            mode="lines",
            name=html.escape(name),
            line={"color": INK, "width": 1.2, "dash": dash},
            hovertemplate="%{x:.4g}, %{y:.4g}<extra>%{fullData.name}</extra>",
        )
    if groups:
        figure.update_layout(showlegend=True)


def _shape_axes(figure: go.Figure, points: Sequence[TrialRow], chart: Chart) -> None:
    for name, log, update in (
        (chart.x, chart.log_x, figure.update_xaxes),
        (chart.y, chart.log_y, figure.update_yaxes),
    ):
        values = [_value(row, name) for row in points]
        numbers = [value for value in values if isinstance(value, int | float)]
        if len(numbers) < len(values):
            order = sorted({str(_plotted(row, name)) for row in points}, key=natural)
            update(type="category", categoryorder="array", categoryarray=order)
        elif log:
            update(log_axis(numbers))


def _lines(
    points: Sequence[TrialRow], chart: Chart, kind: TrialKind, dash_field: str
) -> Iterator[list[TrialRow]]:
    """Trials that differ only in what traces a line, ordered along x."""
    fixed = [name for name in (chart.colour, dash_field, SEED, INPUTS) if name]
    free = [name for name in varying_fields(points, kind) if name not in fixed]
    tracer = chart.x if chart.x in free else _tracer(points, chart.x, free)
    split = [*fixed, *(name for name in free if name != tracer)]
    lines: dict[Hashable, list[TrialRow]] = defaultdict(list)
    for row in points:
        lines[tuple(row.params.get(name) for name in split)].append(row)
    for key in sorted(lines, key=lambda values: [natural(v) for v in values]):  # type: ignore[attr-defined]
        yield sorted(lines[key], key=lambda row: _along(row, chart.x))


def _tracer(points: Sequence[TrialRow], x: str, free: Sequence[str]) -> str:
    """The field with the largest effect on x: the largest between-group sum of squares of x."""
    values = np.array([row.metrics.get(x, math.nan) for row in points])
    shares: dict[str, float] = {}
    for name in free:
        groups: dict[Scalar, list[float]] = defaultdict(list)
        for row, value in zip(points, values, strict=True):
            groups[row.params.get(name)].append(value)
        shares[name] = sum(len(g) * (np.mean(g) - values.mean()) ** 2 for g in groups.values())
    return max(shares, key=shares.__getitem__) if shares else ""


def _trace(
    line: Sequence[TrialRow], chart: Chart, kind: TrialKind, colour: str, dash: str
) -> go.Scatter:
    crosses = ["x-open" if row.uncertified else "circle" for row in line]
    hollow = [row.is_control and not row.uncertified for row in line]  # a cross has no inside
    fills = ["#ffffff" if empty else colour for empty in hollow]
    return go.Scatter(
        x=[_plotted(row, chart.x) for row in line],
        y=[_plotted(row, chart.y) for row in line],
        mode="lines+markers",
        line={"color": colour, "dash": dash, "width": 1.6},
        marker={
            "size": 8,
            "symbol": crosses,
            "color": fills,
            "line": {"color": colour, "width": 1.6},
        },
        text=[_hover(row, chart, kind) for row in line],
        hovertemplate="%{text}<extra></extra>",
    )


def _hover(row: TrialRow, chart: Chart, kind: TrialKind) -> str:
    lines = [row.label]
    for name in (chart.x, chart.y):
        value = _value(row, name)
        shown_value = number(value) if isinstance(value, float) else shown(value)
        lines.append(f"{axis_title(kind, name)}: {shown_value}")
    if version := row.params.get(INPUTS):
        lines.append(str(version))
    lines.append(f"run {row.run_id}")
    if row.uncertified:
        lines.append(f"uncertified: {row.uncertified}")
    return "<br>".join(html.escape(line) for line in lines)


def _explain_dashes(figure: go.Figure, field: str, dashes: dict[Scalar, str]) -> None:
    """Grey samples under the colours of the legend, where there is more than one dash."""
    if len(dashes) < 2:
        return
    for value, dash in dashes.items():
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="lines",
            line={"color": "#8a8f98", "dash": dash, "width": 2},
            name=html.escape(f"{spaced(field)} {shown(value)}"),
            legendgroup="dash " + shown(value),
        )


def _values(points: Sequence[TrialRow], field: str) -> list[Scalar]:
    return sorted({_param(row, field) for row in points}, key=natural)


def _param(row: TrialRow, field: str) -> Scalar:
    return row.params.get(field) if field else None


def _value(row: TrialRow, name: str) -> Scalar:
    """A metric or a config field; None where missing or NaN."""
    value = row.metrics[name] if name in row.metrics else row.params.get(name)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _has_point(row: TrialRow, chart: Chart) -> bool:
    for name, log in ((chart.x, chart.log_x), (chart.y, chart.log_y)):
        value = _value(row, name)
        if value is None or (log and isinstance(value, int | float) and value <= 0):
            return False
    return True


def _plotted(row: TrialRow, name: str) -> Any:
    value = _value(row, name)
    return value if isinstance(value, int | float) else html.escape(shown(value))


def _along(row: TrialRow, name: str) -> tuple[int, float, str]:
    return natural(_value(row, name))
