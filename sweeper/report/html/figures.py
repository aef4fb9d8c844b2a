"""Plotly figures from the charts of a kind. Every text in them is data, and is escaped."""

from __future__ import annotations

import html
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from sweeper.records import SEED, Scalar, TrialRow, TrialState
from sweeper.report.html.bound_line import add_bound
from sweeper.report.html.points import (
    MAX_COLOURS,
    Point,
    gathered,
    setting_points,
    value_of,
)
from sweeper.report.html.style import (
    colour_bar,
    colours,
    dashes,
    layout,
    log_axis,
)
from sweeper.report.summary import varying_fields
from sweeper.report.words import (
    axis_title,
    field_title,
    natural,
    number,
    plural,
    shown,
)
from sweeper.store.versions import INPUTS
from trials.api import Chart, TrialKind


class Drawn(NamedTuple):
    """A figure, or None where it would show nothing; `note` says what its points are."""

    figure: go.Figure | None
    note: str = ""


def draw(chart: Chart, rows: Sequence[TrialRow], kind: TrialKind) -> Drawn:
    """The chart of the complete trials: one point per setting, colours and dashes as declared.

    Uncertified trials are crosses. A chart without two values of x shows nothing and is not drawn.
    """
    complete = [row for row in rows if row.state is TrialState.COMPLETE]
    placed = [row for row in complete if _has_point(row, chart)]
    if len({value_of(row, chart.x) for row in placed}) < 2:
        return Drawn(None)
    dash_field = chart.dash or (kind.control.field if kind.control else "")
    settings = setting_points(placed, chart, kind, dash_field)
    if len({point.x for point in settings}) < 2:
        return Drawn(None)
    points = gathered(settings)
    figure = go.Figure(layout=layout(kind, chart.x, chart.y))
    _add_lines(figure, points, chart, kind, dash_field)
    if chart.bound is not None:
        add_bound(figure, settings, chart.bound)
    _shape_axes(figure, points, chart)
    return Drawn(figure, _note(settings, points, len(complete) - len(placed), len(complete)))


def _note(settings: Sequence[Point], points: Sequence[Point], n_lost: int, n_complete: int) -> str:
    """What a point stands for, and how many trials have none."""
    sentences = []
    n_seeds = max(len(point.rows) for point in settings)
    if len(points) < len(settings):
        sentences.append(
            f"{plural(len(settings), 'setting')} in {len(points)} groups of neighbours along x: "
            "medians; bars: 10th to 90th percentile."
        )
    elif n_seeds > 1:
        sentences.append(f"Means over up to {n_seeds} seeds; bars: lowest to highest seed.")
    if n_lost:
        sentences.append(f"{n_lost} of {n_complete} complete trials have no place on these axes.")
    return " ".join(sentences)


def _add_lines(
    figure: go.Figure, points: Sequence[Point], chart: Chart, kind: TrialKind, dash_field: str
) -> None:
    control = kind.control
    real = control.real if control and control.field == dash_field else None
    colour_of = colours(sorted({point.colour for point in points}, key=natural))
    dash_of = dashes(sorted({point.dash for point in points}, key=natural), real)
    is_scale = len(colour_of) > MAX_COLOURS
    titles = axis_title(kind, chart.x), axis_title(kind, chart.y)
    named: set[str] = set()
    lines = list(_lines(points, chart, kind, dash_field))
    # Solid lines come first: the first of a colour is what the legend shows.
    order = list(dash_of)
    lines.sort(key=lambda line: order.index(line[0].dash))
    for line in lines:
        colour, dash = line[0].colour, line[0].dash
        group = shown(colour if chart.colour else dash)
        trace = _trace(line, titles, colour_of[colour], dash_of[dash])
        in_legend = group not in named and not is_scale
        trace.update(name=html.escape(group), legendgroup=group, showlegend=in_legend)
        figure.add_trace(trace)
        named.add(group)
    if chart.colour:
        title = field_title(kind, chart.colour)
        if is_scale:
            figure.add_trace(colour_bar(list(colour_of), title))
        figure.update_layout(legend_title_text="" if is_scale else html.escape(title))
        _explain_dashes(figure, field_title(kind, dash_field), dash_of)


def _shape_axes(figure: go.Figure, points: Sequence[Point], chart: Chart) -> None:
    for values, log, update in (
        ([point.x for point in points], chart.log_x, figure.update_xaxes),
        ([point.y for point in points], chart.log_y, figure.update_yaxes),
    ):
        numbers = [value for value in values if isinstance(value, int | float)]
        if len(numbers) < len(values):
            order = sorted({str(_plotted(value)) for value in values}, key=natural)
            update(type="category", categoryorder="array", categoryarray=order)
        elif log:
            update(log_axis(numbers))


def _lines(
    points: Sequence[Point], chart: Chart, kind: TrialKind, dash_field: str
) -> Iterator[list[Point]]:
    """Points that differ only in what traces a line, ordered along x."""
    split: list[str] = [INPUTS]
    if not any(point.is_gathered for point in points):
        fixed = [name for name in (chart.colour, dash_field, SEED) if name]
        rows = [point.rows[0] for point in points]
        free = [name for name in varying_fields(rows, kind) if name not in (*fixed, INPUTS)]
        tracer = chart.x if chart.x in free else _tracer(points, free)
        split += [name for name in free if name != tracer]
    lines: dict[tuple[Scalar, ...], list[Point]] = defaultdict(list)
    for point in points:
        params = point.rows[0].params
        lines[point.colour, point.dash, *(params.get(name) for name in split)].append(point)
    for key in sorted(lines, key=lambda values: [natural(v) for v in values]):
        yield sorted(lines[key], key=lambda point: natural(point.x))


def _tracer(points: Sequence[Point], free: Sequence[str]) -> str:
    """The field with the largest effect on x: the largest between-group sum of squares of x."""
    if not all(isinstance(point.x, int | float) for point in points):
        return free[0] if free else ""
    values = np.array([point.x for point in points], dtype=np.float64)
    shares: dict[str, float] = {}
    for name in free:
        groups: dict[Hashable, list[float]] = defaultdict(list)
        for point, value in zip(points, values, strict=True):
            groups[point.rows[0].params.get(name)].append(value)
        shares[name] = sum(len(g) * (np.mean(g) - values.mean()) ** 2 for g in groups.values())
    return max(shares, key=shares.__getitem__) if shares else ""


def _trace(line: Sequence[Point], titles: tuple[str, str], colour: str, dash: str) -> go.Scatter:
    fills = ["#ffffff" if _is_hollow(point) else colour for point in line]
    return go.Scatter(
        x=[_plotted(point.x) for point in line],
        y=[_plotted(point.y) for point in line],
        error_y=_bars(line),
        mode="lines+markers",
        line={"color": colour, "dash": dash, "width": 1.6},
        marker={
            "size": 8,
            "symbol": ["x-open" if point.is_uncertified else "circle" for point in line],
            "color": fills,
            "line": {"color": colour, "width": 1.6},
        },
        text=[_hover(point, titles) for point in line],
        hovertemplate="%{text}<extra></extra>",
    )


def _is_hollow(point: Point) -> bool:
    return point.rows[0].is_control and not point.is_uncertified  # a cross has no inside


def _bars(line: Sequence[Point]) -> dict[str, Any] | None:
    """The spread of each point; None where none has any."""
    reach = [
        (point.high - point.y, point.y - point.low)
        if isinstance(point.y, int | float) and point.low < point.high
        else (0.0, 0.0)
        for point in line
    ]
    if not any(up or down for up, down in reach):
        return None
    return {
        "type": "data",
        "symmetric": False,
        "array": [up for up, _ in reach],
        "arrayminus": [down for _, down in reach],
        "thickness": 1.2,
        "width": 3,
    }


def _hover(point: Point, titles: tuple[str, str]) -> str:
    first, n = point.rows[0], len(point.rows)
    if point.is_gathered:
        lines = [plural(n, "trial")]
    else:
        lines = [first.label] if n == 1 else [first.setting_label, f"mean of {n} seeds"]
    for title, value in zip(titles, (point.x, point.y), strict=True):
        lines.append(f"{title}: {number(value) if isinstance(value, float) else shown(value)}")
    if point.low < point.high:
        lines.append(f"from {number(point.low)} to {number(point.high)}")
    if version := first.params.get(INPUTS):
        lines.append(str(version))
    if n == 1:
        lines.append(f"run {first.run_id}")
    if first.uncertified:
        lines.append(f"uncertified: {first.uncertified}")
    return "<br>".join(html.escape(line) for line in lines)


def _explain_dashes(figure: go.Figure, title: str, dashes: dict[Scalar, str]) -> None:
    """Grey samples under the colours of the legend, where there is more than one dash."""
    if len(dashes) < 2:
        return
    for value, dash in dashes.items():
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="lines",
            line={"color": "#8a8f98", "dash": dash, "width": 2},
            name=html.escape(f"{title} {shown(value)}"),
            legendgroup="dash " + shown(value),
        )


def _has_point(row: TrialRow, chart: Chart) -> bool:
    for name, log in ((chart.x, chart.log_x), (chart.y, chart.log_y)):
        value = value_of(row, name)
        if value is None or (log and isinstance(value, int | float) and value <= 0):
            return False
    return True


def _plotted(value: Scalar) -> Any:
    return value if isinstance(value, int | float) else html.escape(shown(value))
