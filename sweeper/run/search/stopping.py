"""Early stopping of trials that report progress: one rule for every runner.

`AsyncHalving` is asynchronous successive halving (Li et al. 2020, "A system for massively parallel
hyperparameter tuning", algorithm 2); `MedianRule` is that of Vizier (Golovin et al. 2017, §3.2.2).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from statistics import median
from typing import Protocol

from sweeper.declare.sweep import Sweep


class StoppingRule(Protocol):
    """Decides whether a running trial is worth going on with.

    What a trial reports again, because it lost its worker or its driver, counts once.
    """

    def stops(self, key: str, step: int, metrics: Mapping[str, float]) -> bool:
        """Whether the trial `key`, having reported `metrics` at `step`, ends here."""


class NeverStop:
    """Every trial runs to its end."""

    def stops(self, key: str, step: int, metrics: Mapping[str, float]) -> bool:
        """False."""
        return False


class AsyncHalving:
    """At each rung (grace, grace*r, grace*r^2 ... steps) the best 1/r of what reached it go on."""

    def __init__(self, metric: str, sign: float, *, grace: int, reduction: float) -> None:
        self._metric, self._sign = metric, sign
        self._grace, self._reduction = grace, reduction
        self._rungs: dict[int, dict[str, float]] = defaultdict(dict)

    def stops(self, key: str, step: int, metrics: Mapping[str, float]) -> bool:
        """Judge the trial at the highest rung it has reached, once."""
        value = self._sign * metrics.get(self._metric, math.nan)
        if step < self._grace or math.isnan(value):
            return False
        rung = int(math.log(step / self._grace, self._reduction) + 1e-9)
        reached = self._rungs[rung]
        if key in reached:
            return False
        reached[key] = value
        n_kept = int(len(reached) / self._reduction)
        # Below r trials at a rung nothing is known yet: the trial goes on.
        return n_kept > 0 and value > sorted(reached.values())[n_kept - 1]


class MedianRule:
    """A trial stops when its best value is worse than the median of the others' running means."""

    def __init__(self, metric: str, sign: float, *, grace: int, n_least: int = 3) -> None:
        self._metric, self._sign = metric, sign
        self._grace, self._n_least = grace, n_least
        self._curves: dict[str, dict[int, float]] = defaultdict(dict)

    def stops(self, key: str, step: int, metrics: Mapping[str, float]) -> bool:
        """Judge the trial after its grace period, at every report."""
        value = self._sign * metrics.get(self._metric, math.nan)
        if math.isnan(value):
            return False
        self._curves[key][step] = value
        others = [
            sum(values) / len(values)
            for other, curve in self._curves.items()
            if other != key and (values := [v for s, v in curve.items() if s <= step])
        ]
        if step < self._grace or len(others) < self._n_least:
            return False
        best = min(v for s, v in self._curves[key].items() if s <= step)
        return best > median(others)


def stopping_rule(sweep: Sweep) -> StoppingRule:
    """The rule that the sweep file names."""
    early = sweep.early_stopping
    if early is None:
        return NeverStop()
    sign = -1.0 if early.direction == "maximise" else 1.0
    if early.method == "median":
        return MedianRule(early.metric, sign, grace=early.grace)
    return AsyncHalving(early.metric, sign, grace=early.grace, reduction=early.reduction)
