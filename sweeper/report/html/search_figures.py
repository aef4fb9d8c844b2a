"""How a search went: its objective by proposal, what matters, and which values go together.

The counterparts of Optuna's history, importances and parallel coordinates, for settings with
several seeds and with constraints as the search sees them.
"""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from sweeper.declare.search import Search
from sweeper.records import SEED, Scalar, TrialRow
from sweeper.report.html.parallel_figure import draw_parallel
from sweeper.report.html.points import MAX_POINTS
from sweeper.report.html.style import INK, PALETTE, UNFIT, frame, wrapped
from sweeper.report.html.tried import Tried, loss_under, tried
from sweeper.report.summary import varying_fields
from sweeper.report.words import axis_title, field_title, plural, title_of
from sweeper.store.versions import INPUTS
from trials.api import TrialKind

RateFields = Callable[[Sequence[Mapping[str, Scalar]], Sequence[float]], Mapping[str, float]]
"""The importance of each field, from settings and their value; empty where it cannot say."""

_MIN_RATED = 4
"""Fewest settings from which importance is computed."""


class SearchFigure(NamedTuple):
    """A figure with its title and caption."""

    title: str
    caption: str
    figure: go.Figure


def search_figures(
    rows: Sequence[TrialRow], kind: TrialKind, search: Search, rate_fields: RateFields | None
) -> list[SearchFigure]:
    """History, importance and parallel coordinates of a search; none with fewer than two settings.

    `rows` are the trials that count; nulls are ignored, as the search ignores them.
    """
    real = [row for row in rows if not row.is_control]
    fields = [name for name in varying_fields(real, kind) if name not in (SEED, INPUTS)]
    found = tried(real, fields, search)
    if len(found) < 2 or not fields:
        return []
    drawn = [_history(found, kind, search)]
    if rate_fields and len(fields) > 1 and len(found) >= _MIN_RATED:
        drawn += _importance(found, fields, kind, search, rate_fields)
    parallel = draw_parallel(found, fields, kind, search)
    return [*drawn, SearchFigure("Settings and what they gave", *parallel)]


def _history(found: Sequence[Tried], kind: TrialKind, search: Search) -> SearchFigure:
    """Every ranked metric by proposal, one panel each; the best so far of a single objective."""
    figure = go.Figure(layout=frame("proposal", ""))
    for at, name in enumerate(search.metrics):
        axis = "y" if at == 0 else f"y{at + 1}"
        for is_feasible in (True, False):
            trace = _proposals(found, name, is_feasible, title_of(kind, name))
            in_legend = at == 0 and bool(search.constraints) and len(trace.x) > 0
            figure.add_trace(trace.update(yaxis=axis, showlegend=in_legend))
        for limit in _limits(search, name):
            line = {"color": INK, "width": 1, "dash": "dot"}
            figure.add_shape(
                type="line", xref="paper", x0=0, x1=1, yref=axis, y0=limit, y1=limit, line=line
            )
    if len(search.objectives) == 1:
        best = list(itertools.accumulate(map(loss_under(search), found), min))
        sign = -1 if search.objectives[0].direction == "maximise" else 1
        figure.add_scatter(
            x=list(range(1, len(found) + 1)),
            y=[None if math.isinf(loss) else sign * loss for loss in best],
            mode="lines",
            name="best so far",
            line={"color": PALETTE[1], "width": 2, "shape": "hv"},
            hoverinfo="skip",
        )
    _stack(figure, [axis_title(kind, name) for name in search.metrics])
    caption = f"{plural(len(found), 'setting')} in the order in which they started, without nulls"
    caption += "; dotted: the constraint." if search.constraints else "."
    return SearchFigure("History of the search", caption, figure)


def _proposals(found: Sequence[Tried], name: str, is_feasible: bool, title: str) -> go.Scatter:
    """One metric of the settings within the constraints, or of those beyond."""
    chosen = [(n, one) for n, one in enumerate(found, 1) if one.is_feasible == is_feasible]
    return go.Scatter(
        x=[n for n, _ in chosen],
        y=[one.metrics[name] for _, one in chosen],
        mode="markers",
        name="within the constraints" if is_feasible else "beyond a constraint",
        marker={
            "size": 7 if len(found) <= MAX_POINTS else 4,
            "color": PALETTE[0] if is_feasible else UNFIT,
            "symbol": "circle" if is_feasible else "x",
        },
        hovertemplate=f"%{{x}}: %{{y:.4g}}<extra>{html.escape(title)}</extra>",
    )


def _stack(figure: go.Figure, titles: Sequence[str]) -> None:
    """One panel per title above each other, with a common x axis."""
    share, gap = 1 / len(titles), 0.06
    base = figure.layout.yaxis.to_plotly_json()
    for at, title in enumerate(titles):
        top = 1 - at * share
        heading = {"text": wrapped(title, 24), "font": {"size": 13}}
        domain = [max(0.0, top - share + (gap if at < len(titles) - 1 else 0)), top]
        name = "yaxis" if at == 0 else f"yaxis{at + 1}"
        figure.layout[name] = base | {"title": heading, "domain": domain}
    figure.update_xaxes(anchor=f"y{len(titles)}" if len(titles) > 1 else "y")
    figure.update_layout(showlegend=True, height=320 + 180 * (len(titles) - 1))


def _importance(
    found: Sequence[Tried],
    fields: Sequence[str],
    kind: TrialKind,
    search: Search,
    rate_fields: RateFields,
) -> Iterator[SearchFigure]:
    """How much of each ranked metric's variation each field explains; none where nothing can."""
    params = [one.params for one in found]
    rated = {
        name: rate_fields(params, [one.metrics[name] for one in found]) for name in search.metrics
    }
    rated = {name: shares for name, shares in rated.items() if shares}
    if not rated:
        return
    first = next(iter(rated.values()))
    order = sorted(fields, key=lambda field: first.get(field, 0.0))
    figure = go.Figure(layout=frame("importance", ""))
    for colour, (name, shares) in zip(itertools.cycle(PALETTE), rated.items(), strict=False):
        figure.add_bar(
            x=[shares.get(field, 0.0) for field in order],
            y=[html.escape(field_title(kind, field)) for field in order],
            orientation="h",
            name=html.escape(title_of(kind, name)),
            marker={"color": colour},
            hovertemplate="%{y}: %{x:.2f}<extra>%{fullData.name}</extra>",
        )
    figure.update_xaxes(range=[0, 1])
    figure.update_layout(height=150 + 34 * len(order) * len(rated), showlegend=len(rated) > 1)
    caption = (
        "Share of the variation that a field explains over the settings that were tried "
        "(fANOVA, a random forest; Hutter, Hoos and Leyton-Brown, 2014). Few settings say little."
    )
    yield SearchFigure("Importance of each field", caption, figure)


def _limits(search: Search, name: str) -> list[float]:
    bounds = search.constraints.get(name)
    values = (bounds.min, bounds.max, bounds.target) if bounds else ()
    return [b for b in values if b is not None]
