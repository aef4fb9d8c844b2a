"""Dimensions of a space: what values a config field takes, at which points a grid visits it.

Bounds are inclusive and exact everywhere: the first grid point is `low`, the last is `high`, and a
sample can be either.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from sweeper.declare.document import shown
from sweeper.declare.validation import Declared
from sweeper.records import Scalar

MAX_CHOICES = 10_000
MAX_POINTS = 10_000
MAX_INT = 2**53
"""Beyond it an integer is no longer exact as the float that it is logged as."""

SIGNIFICANT_DIGITS = 12
"""Interior points of a log grid are rounded, so that a decade falls on 0.01 and two grids that
share a point share its trial."""

Points = Annotated[int | None, Field(ge=1, le=MAX_POINTS)]
BoundedInt = Annotated[int, Field(ge=-MAX_INT, le=MAX_INT)]


class Choice(Declared):
    """One of several plain values, in the order given. Each of them counts as an end."""

    type: Literal["choice"] = "choice"
    values: tuple[Scalar, ...] = Field(min_length=1, max_length=MAX_CHOICES)

    @model_validator(mode="after")
    def _distinct(self) -> Choice:
        seen = set()
        for value in self.values:
            same = (isinstance(value, bool), value)  # True == 1 in Python, not in a sweep file
            if same in seen:
                raise ValueError(f"{shown(value)} is given twice; values must be distinct")
            seen.add(same)
        return self

    @property
    def has_grid(self) -> bool:
        """Whether a grid can visit the dimension."""
        return True

    @property
    def grid_size(self) -> int:
        """Number of grid points."""
        return len(self.values)

    def ends(self) -> tuple[Scalar, ...]:
        """Values to validate: if the kind accepts them, it accepts the whole dimension."""
        return self.values

    def grid(self) -> Sequence[Scalar]:
        """The points that a grid visits, in order."""
        return self.values

    def every(self) -> Sequence[Scalar]:
        """Every value."""
        return self.values

    def at(self, t: float) -> Scalar:
        """The value at a fraction `t` of the way, from 0 to below 1."""
        return self.values[min(int(t * len(self.values)), len(self.values) - 1)]

    def sample(self, rng: np.random.Generator) -> Scalar:
        """A value, uniformly."""
        return self.values[int(rng.integers(len(self.values)))]

    def contains(self, value: Scalar) -> bool:
        """Whether the dimension holds `value`."""
        return any(
            value == v and isinstance(value, bool) == isinstance(v, bool) for v in self.values
        )


class IntRange(Declared):
    """Integers from `low` to `high`, every `step`, or spread evenly over `log`.

    A grid visits every step, or about `points` values, rounded and distinct. Random and Optuna
    searches draw from the whole range whatever `points` says.
    """

    type: Literal["int"] = "int"
    low: BoundedInt
    high: BoundedInt
    step: Annotated[int | None, Field(ge=1)] = None
    log: bool = False
    points: Points = None

    @model_validator(mode="after")
    def _consistent(self) -> IntRange:
        _check_bounds(self.low, self.high, self.log, self.points)
        if self.step is not None and (self.log or self.points is not None):
            raise ValueError("step and log or points; a range has a step, or log, or points")
        if rest := (self.high - self.low) % (self.step or 1):
            raise ValueError(
                f"step {self.step} from {self.low} misses high {self.high};"
                f" end at {self.high - rest} or {self.high - rest + (self.step or 1)}"
            )
        n_integers = self.high - self.low + 1
        if self.points is not None and self.points > n_integers > 1:
            raise ValueError(f"{self.points} points; {self.low} to {self.high} holds {n_integers}")
        return self

    @property
    def has_grid(self) -> bool:
        """Whether a grid can visit the dimension."""
        return self.points is not None or not self.log or self.low == self.high

    @property
    def grid_size(self) -> int:
        """Number of grid points; ValueError for a log range without `points`."""
        return len(self.grid())

    def ends(self) -> tuple[int, ...]:
        """Values to validate: if the kind accepts them, it accepts the whole dimension."""
        return (self.low, self.high)

    def grid(self) -> Sequence[int]:
        """The points that a grid visits, ascending; ValueError for a log range without points."""
        if self.low == self.high:
            return (self.low,)
        if self.points is None:
            if self.log:
                raise ValueError("a log range has a grid only with points")
            return range(self.low, self.high + 1, self.step or 1)
        last = self.points - 1
        if self.log:
            inner = (round(_log_between(self.low, self.high, i / last)) for i in range(1, last))
        else:  # rounded in integer arithmetic
            inner = (
                self.low + (2 * i * (self.high - self.low) + last) // (2 * last)
                for i in range(1, last)
            )
        return tuple(sorted({self.low, *inner, self.high}))

    def every(self) -> Sequence[int]:
        """Every value that a sample can be, ascending."""
        return range(self.low, self.high + 1, self.step or 1)

    def at(self, t: float) -> int:
        """The value at a fraction `t` of the way, from 0 to below 1."""
        if self.log:  # half a step beyond each end, so that each end gets the share of a full step
            value = _log_between(self.low - 0.5, self.high + 0.5, t)
            return min(max(round(value), self.low), self.high)
        step = self.step or 1
        n_steps = (self.high - self.low) // step
        return self.low + step * min(int(t * (n_steps + 1)), n_steps)

    def sample(self, rng: np.random.Generator) -> int:
        """A value: uniform over the steps, or over the logarithm."""
        if self.log:
            return self.at(rng.random())
        step = self.step or 1
        return self.low + step * int(rng.integers((self.high - self.low) // step, endpoint=True))

    def contains(self, value: Scalar) -> bool:
        """Whether the dimension holds `value`."""
        if isinstance(value, bool) or not isinstance(value, int):
            return False
        return self.low <= value <= self.high and (value - self.low) % (self.step or 1) == 0


class FloatRange(Declared):
    """Numbers from `low` to `high`; a grid visits `points` of them, evenly or evenly in `log`."""

    type: Literal["float"] = "float"
    low: float
    high: float
    log: bool = False
    points: Points = None

    @model_validator(mode="after")
    def _consistent(self) -> FloatRange:
        _check_bounds(self.low, self.high, self.log, self.points)
        if self.points is not None:
            visited = self.grid()
            if any(a >= b for a, b in itertools.pairwise(visited)):
                raise ValueError(
                    f"{self.low} to {self.high} is too narrow for {self.points} points"
                )
        return self

    @property
    def has_grid(self) -> bool:
        """Whether a grid can visit the dimension."""
        return self.points is not None or self.low == self.high

    @property
    def grid_size(self) -> int:
        """Number of grid points; ValueError for a range without `points`."""
        return len(self.grid())

    def ends(self) -> tuple[float, ...]:
        """Values to validate: if the kind accepts them, it accepts the whole dimension."""
        return (self.low, self.high)

    def grid(self) -> Sequence[float]:
        """The points that a grid visits, ascending; ValueError for a range without points."""
        if self.low == self.high:
            return (self.low,)
        if self.points is None:
            raise ValueError("a float range has a grid only with points")
        last = self.points - 1
        if self.log:
            inner = [
                float(f"{_log_between(self.low, self.high, i / last):.{SIGNIFICANT_DIGITS}g}")
                for i in range(1, last)
            ]
        else:  # in exact decimals: ten steps from 0 to 1 pass through 0.3, not 0.30000000000000004
            low, high = Fraction(repr(self.low)), Fraction(repr(self.high))
            inner = [float(low + (high - low) * Fraction(i, last)) for i in range(1, last)]
        return (self.low, *inner, self.high)

    def every(self) -> Sequence[float] | None:
        """Its value if there is only one; None otherwise."""
        return (self.low,) if self.low == self.high else None

    def sample(self, rng: np.random.Generator) -> float:
        """A value: uniform, or uniform over the logarithm."""
        return self.at(rng.random())

    def at(self, t: float) -> float:
        """The value at a fraction `t` of the way, evenly or evenly in the logarithm."""
        if self.log:
            return _log_between(self.low, self.high, t)
        # high - low may be more than the largest float
        return min(max(self.low * (1 - t) + self.high * t, self.low), self.high)

    def contains(self, value: Scalar) -> bool:
        """Whether the dimension holds `value`."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return self.low <= value <= self.high


Dimension = Annotated[Choice | IntRange | FloatRange, Field(discriminator="type")]


def _check_bounds(low: float, high: float, log: bool, points: int | None) -> None:
    if low > high:
        raise ValueError(f"low {low} > high {high}; low must not exceed high")
    if log and low <= 0:
        raise ValueError(f"low {low} with log; a log range needs low > 0")
    if points == 1 and low < high:
        raise ValueError("1 point; a range needs at least 2, its ends")


def _log_between(low: float, high: float, t: float) -> float:
    """From `low` at t = 0 to `high` at t = 1 evenly in the logarithm, never beyond either."""
    return min(max(math.exp(math.log(low) * (1 - t) + math.log(high) * t), low), high)
