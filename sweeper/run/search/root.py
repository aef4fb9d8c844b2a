"""Finds where a monotone relation takes a wanted value, from as few values of it as possible."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.interpolate import PchipInterpolator

_START = (0.25, 0.75)
"""Where two first values are asked for at once, as fractions of the range."""
_LEAST_STEP = 0.02
"""A step into a bracket is at least this fraction of it: else noise holds it at one end."""


class Value(NamedTuple):
    """A point and what was measured there; None where it failed."""

    x: float
    y: float | None


class Root:
    """Solves y(x) = target on [low, high], for y that rises or falls with x.

    The relation is interpolated between logarithms where numbers are above 0: sparsity falls about
    as a power of the penalty. What comes next hangs on the values alone, in any order.

    Attributes:
        values: what is known, failures included.
        low, high, target: as given.
    """

    def __init__(self, low: float, high: float, target: float, tolerance: float) -> None:
        self.low, self.high, self.target = low, high, target
        self._tolerance = tolerance
        self._logs_x = low > 0
        self.values: list[Value] = []

    @property
    def best(self) -> Value | None:
        """The value nearest to the target."""
        known = [value for value in self.values if value.y is not None]
        return min(known, key=lambda v: (abs((v.y or 0.0) - self.target), v.x), default=None)

    @property
    def is_found(self) -> bool:
        """Whether a value is within the tolerance of the target."""
        best = self.best
        return best is not None and abs((best.y or 0.0) - self.target) <= self._tolerance

    def start(self) -> tuple[float, float]:
        """The first two points where nothing is known."""
        low, high = self._u(self.low), self._u(self.high)
        first, second = (self._x(low + t * (high - low)) for t in _START)
        return first, second

    def next(self, slope: float | None = None) -> float | None:
        """The next point to measure; None when nothing is left to try.

        `slope` is that of a like relation, for when only one value is known.
        """
        if self.is_found:
            return None
        points = self._points()
        low, high = self._u(self.low), self._u(self.high)
        goal = self._v(self.target)
        if len(points) == 1 and slope:
            (u, v) = points[0]
            wanted = u + (goal - v) / slope
        elif len(points) < 2:
            return self._untried(low, high)
        else:
            below, above = _bracket(points, goal)
            if below is None or above is None:
                wanted = _extrapolated(points, goal)
            else:
                low, high = sorted((below[0], above[0]))
                margin = _LEAST_STEP * (high - low)
                wanted = _interpolated(points, below, above, goal)
                wanted = min(max(wanted, low + margin), high - margin)
        x = self._x(min(max(wanted, low), high))
        tried = {value.x: value.y for value in self.values}
        if tried.get(x) is not None and _bracket(points, goal) == (None, None):
            return None  # the end of the range does not reach the target
        return self._untried(low, high) if x in tried else x

    def solution(self) -> float | None:
        """The interpolated point of the target; None if the values do not bracket it."""
        points, goal = self._points(), self._v(self.target)
        below, above = _bracket(points, goal) if len(points) > 1 else (None, None)
        if below is None or above is None:
            return None
        return self._x(_interpolated(points, below, above, goal))

    @property
    def slope(self) -> float | None:
        """Of the line through the two values nearest to the target."""
        points, goal = self._points(), self._v(self.target)
        if len(points) < 2:
            return None
        (u, v), (other_u, other_v) = sorted(points, key=lambda p: abs(p[1] - goal))[:2]
        return (other_v - v) / (other_u - u)

    def _untried(self, low: float, high: float) -> float | None:
        """A point far from all that were tried: of halves, quarters and eighths of the range."""
        tried = [self._u(value.x) for value in self.values]
        inner = [low + (high - low) * n / 16 for n in range(17)]
        far = {u: min((abs(u - other) for other in tried), default=math.inf) for u in inner}
        best = max(inner, key=lambda u: (far[u], -abs(u - (low + high) / 2)))
        return self._x(best) if far[best] > 1e-3 * (high - low) else None

    def _points(self) -> list[tuple[float, float]]:
        """What is known, transformed, in ascending order of x."""
        known = {self._u(v.x): self._v(v.y) for v in self.values if v.y is not None}
        return sorted(known.items())

    def _u(self, x: float) -> float:
        return math.log(x) if self._logs_x else x

    def _v(self, y: float) -> float:
        is_above_0 = self.target > 0 and all(v.y is None or v.y > 0 for v in self.values)
        return math.log(y) if is_above_0 else y

    def _x(self, u: float) -> float:
        x = float(f"{math.exp(u) if self._logs_x else u:.6g}")
        return min(max(x, self.low), self.high)


Point = tuple[float, float]


def _bracket(points: Sequence[Point], goal: float) -> tuple[Point | None, Point | None]:
    """The neighbours between which the relation passes the goal: one below it, one above."""
    for one, other in itertools.pairwise(points):
        if (one[1] - goal) * (other[1] - goal) <= 0:
            return (one, other) if one[1] <= other[1] else (other, one)
    return None, None


def _interpolated(points: Sequence[Point], below: Point, above: Point, goal: float) -> float:
    """Where the values reach the goal: monotone cubic through all, or a line where noise bends."""
    rising = sorted(points, key=lambda p: p[1])
    v, u = np.array([p[1] for p in rising]), np.array([p[0] for p in rising])
    steps = np.diff(u)
    if np.all(np.diff(v) > 0) and (np.all(steps > 0) or np.all(steps < 0)):
        return float(PchipInterpolator(v, u)(goal))
    if above[1] == below[1]:
        return (below[0] + above[0]) / 2
    share = (goal - below[1]) / (above[1] - below[1])
    return below[0] + share * (above[0] - below[0])


def _extrapolated(points: Sequence[Point], goal: float) -> float:
    """Where the line through the two values nearest to the goal reaches it."""
    near, far = sorted(points, key=lambda p: abs(p[1] - goal))[:2]
    if near[1] == far[1]:  # flat: away from what is known
        return math.copysign(math.inf, near[0] - far[0])
    return near[0] + (goal - near[1]) * (near[0] - far[0]) / (near[1] - far[1])
