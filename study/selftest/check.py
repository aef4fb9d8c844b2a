"""A planted structure, what must be measured on it, and what was."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

Measured = Mapping[str, float]
"""Statistic -> value."""


@dataclass(frozen=True)
class Expected:
    """The range that a statistic must lie in, both ends included."""

    low: float | int = -math.inf
    high: float | int = math.inf

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.low:g}"
        if math.isinf(self.low):
            return f"at most {self.high:g}"
        return (
            f"at least {self.low:g}" if math.isinf(self.high) else f"{self.low:g} to {self.high:g}"
        )


@dataclass(frozen=True)
class Check:
    """One planted case.

    Attributes:
        planted: what is planted.
        expected: statistic -> its range.
        measure: `measure(rng)` plants, measures, and returns every statistic of `expected`.
    """

    planted: str
    expected: Mapping[str, Expected]
    measure: Callable[[np.random.Generator], Measured]


class Line(NamedTuple):
    """A measured statistic and its range; `seconds` is the time of the whole check."""

    planted: str
    statistic: str
    measured: float
    expected: Expected
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether the value lies in the range."""
        return self.measured in self.expected


def run_check(check: Check, seed: int) -> list[Line]:
    """Plant and measure. Raises KeyError where a statistic was not measured."""
    started = time.perf_counter()
    found = check.measure(np.random.default_rng([seed, 9]))
    seconds = time.perf_counter() - started
    return [
        Line(check.planted, name, found[name], expected, seconds)
        for name, expected in check.expected.items()
    ]
