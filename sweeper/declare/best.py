"""Which settings are the best under a search's objectives and constraints.

One rule for all who ask (Optuna, the progress bar, the final table, the report): a setting competes
with the means over its seeds, once each of them is complete and certified.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from sweeper.declare.search import Search
from sweeper.records import Outcome, TrialRow, TrialState

T = TypeVar("T")


class Candidate(NamedTuple, Generic[T]):
    """A setting that competes: what names it, its mean metrics, its losses under the search."""

    item: T
    metrics: Mapping[str, float]
    losses: tuple[float, ...]


class Best(Generic[T]):
    """The settings within the constraints that no other one dominates.

    With one objective that is one setting, the first of equals. With several it is the Pareto front
    as Optuna has it: equals are all on it.

    Attributes:
        front: the best, in ascending order of the first loss.
        nearest: of those beyond the constraints, the one that violates them least; None without.
    """

    def __init__(self, search: Search) -> None:
        self.search = search
        self.front: list[Candidate[T]] = []
        self.nearest: Candidate[T] | None = None
        self._least = math.inf

    def offer(self, item: T, metrics: Mapping[str, float]) -> None:
        """Let a setting compete; one whose objectives or constraints are not finite cannot."""
        found = Candidate(item, metrics, self.search.losses(metrics))
        violations = self.search.violations(metrics).values()
        if not all(map(math.isfinite, (*found.losses, *violations))):
            return
        if (violation := sum(v for v in violations if v > 0)) > 0:
            if violation < self._least:
                self._least, self.nearest = violation, found
        elif not any(self._beats(other, found) for other in self.front):
            kept = [other for other in self.front if not self._beats(found, other)]
            self.front = sorted([*kept, found], key=lambda candidate: candidate.losses)

    def beyond(self) -> str:
        """`l0_validation 23.1, not <= 20` for the constraints that `nearest` violates."""
        if self.nearest is None:
            return ""
        violations = self.search.violations(self.nearest.metrics)
        return ", ".join(
            f"{name} {self.nearest.metrics[name]:.4g}, not {self.search.constraints[name]}"
            for name, violation in violations.items()
            if violation > 0
        )

    def _beats(self, one: Candidate[T], other: Candidate[T]) -> bool:
        """Whether `one`, if it came first, leaves no place for `other`."""
        no_worse = all(a <= b for a, b in zip(one.losses, other.losses, strict=True))
        return no_worse and (len(one.losses) == 1 or one.losses != other.losses)


def mean_metrics(
    replicates: Sequence[Outcome] | Sequence[TrialRow], names: Iterable[str]
) -> dict[str, float] | None:
    """Means over the seeds of a setting, NaN where one lacks the metric.

    None unless every seed is complete and certified: a partial mean must not compete.
    """
    if not all(r.state is TrialState.COMPLETE and not r.uncertified for r in replicates):
        return None
    return {
        name: float(np.mean([r.metrics.get(name, math.nan) for r in replicates])) for name in names
    }
