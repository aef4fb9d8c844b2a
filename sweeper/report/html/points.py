"""The points of a chart: one per setting with the spread over its seeds, and never too many.

A chart draws settings, not trials. Where there are still more than `MAX_POINTS`, neighbours along
x become one point.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from sweeper.records import SEED, Scalar, TrialRow
from sweeper.report.summary import varying_fields
from sweeper.report.words import natural, number
from trials.api import Chart, TrialKind

MAX_POINTS = 500
"""Most points that a chart draws one by one."""

MAX_COLOURS = 10
"""More colours than this are a scale, not a legend."""

_N_COLOUR_GROUPS = 5
"""Groups of a numeric colour field where points are gathered."""

N_GATHERED = 20
"""Points of each line where points are gathered."""

T = TypeVar("T")


@dataclass(frozen=True)
class Point:
    """A point of a chart.

    Attributes:
        rows: the trials of one setting; of several where `is_gathered`.
        x: a number or a name; y: a number or a name.
        low, high: of y: least and largest over seeds, or 10th and 90th percentile where
            `is_gathered`.
        colour, dash: what splits lines.
    """

    rows: tuple[TrialRow, ...]
    x: Scalar
    y: Scalar
    low: float
    high: float
    colour: Scalar
    dash: Scalar
    is_gathered: bool = False

    @property
    def is_uncertified(self) -> bool:
        """Whether its numbers must not be trusted as best."""
        return bool(self.rows[0].uncertified)


def value_of(row: TrialRow, name: str) -> Scalar:
    """A metric or a config field; None where missing or not finite."""
    value = row.metrics[name] if name in row.metrics else row.params.get(name)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def setting_points(
    rows: Sequence[TrialRow], chart: Chart, kind: TrialKind, dash_field: str
) -> list[Point]:
    """One point per setting, at the means over its seeds; uncertified trials have their own."""
    fields = [name for name in varying_fields(rows, kind) if name != SEED]
    settings: dict[Hashable, list[TrialRow]] = defaultdict(list)
    for row in rows:
        settings[bool(row.uncertified), *(row.params.get(name) for name in fields)].append(row)
    points = []
    for of_setting in settings.values():
        first = of_setting[0]
        y, low, high = _over_seeds(of_setting, chart.y)
        points.append(
            Point(
                rows=tuple(of_setting),
                x=_over_seeds(of_setting, chart.x)[0],
                y=y,
                low=low,
                high=high,
                colour=first.params.get(chart.colour) if chart.colour else None,
                dash=first.params.get(dash_field) if dash_field else None,
            )
        )
    return points


def gathered(points: Sequence[Point], max_points: int = MAX_POINTS) -> list[Point]:
    """More than `max_points` as medians of neighbours along x, of equal dash and similar colour.

    Points with names instead of numbers stay as they are.
    """
    if len(points) <= max_points or not all(_is_number(p.y) for p in points):
        return list(points)
    colour_of = _colour_groups([point.colour for point in points])
    groups: dict[tuple[Scalar, Scalar, bool], list[Point]] = defaultdict(list)
    for point in points:
        groups[colour_of[point.colour], point.dash, point.is_uncertified].append(point)
    found = []
    for (colour, dash, _), group in groups.items():
        for part in neighbours(group, lambda point: point.x, N_GATHERED):
            y = np.array([point.y for point in part], dtype=np.float64)
            low, middle, high = np.quantile(y, [0.1, 0.5, 0.9]).tolist()
            found.append(
                Point(
                    rows=tuple(row for point in part for row in point.rows),
                    x=_middle([point.x for point in part]),
                    y=middle,
                    low=low,
                    high=high,
                    colour=colour,
                    dash=dash,
                    is_gathered=True,
                )
            )
    return found


def neighbours(items: Iterable[T], x: Callable[[T], Scalar], n_parts: int) -> list[list[T]]:
    """`items` in the order of x, in at most `n_parts`; equal x stay together if there are few."""
    ordered = sorted(items, key=lambda item: natural(x(item)))
    by_x: dict[Scalar, list[T]] = defaultdict(list)
    for item in ordered:
        by_x[x(item)].append(item)
    if len(by_x) <= n_parts or not all(map(_is_number, by_x)):
        return list(by_x.values())
    ends = np.linspace(0, len(ordered), n_parts + 1).astype(int).tolist()
    return [ordered[a:b] for a, b in itertools.pairwise(ends)]


def _over_seeds(rows: Sequence[TrialRow], name: str) -> tuple[Scalar, float, float]:
    """Mean, least and largest value; the value itself where it is no number."""
    values = [value_of(row, name) for row in rows]
    if len(values) == 1 or not all(map(_is_number, values)):
        return values[0], math.nan, math.nan
    numbers = np.array(values, dtype=np.float64)
    return float(numbers.mean()), float(numbers.min()), float(numbers.max())


def _middle(values: Sequence[Scalar]) -> Scalar:
    if not all(map(_is_number, values)):
        return values[0]
    return float(np.median(np.array(values, dtype=np.float64)))


def _colour_groups(colours: Sequence[Scalar]) -> dict[Scalar, Scalar]:
    """Each colour's group: itself if there are few, else its fifth of the numbers, else none."""
    distinct = sorted(set(colours), key=natural)
    if len(distinct) <= MAX_COLOURS:
        return {colour: colour for colour in distinct}
    if not all(map(_is_number, distinct)):
        return dict.fromkeys(distinct)
    names: dict[Scalar, Scalar] = {}
    for part in np.array_split(np.array(distinct, dtype=object), _N_COLOUR_GROUPS):
        low, high = number(float(part[0])), number(float(part[-1]))
        names |= dict.fromkeys(part.tolist(), f"{low} to {high}")
    return names


def _is_number(value: Scalar) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
