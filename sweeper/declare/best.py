"""Which trials are the best under a search's objectives and constraints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Generic, NamedTuple, TypeVar

from sweeper.declare.search import Search

T = TypeVar("T")


class Candidate(NamedTuple, Generic[T]):
    """A trial that competes: what names it, its metrics, its losses under the search."""

    item: T
    metrics: Mapping[str, float]
    losses: tuple[float, ...]


class Best(Generic[T]):
    """The trials within the constraints that no other such trial equals or beats in everything.

    With one objective that is one trial, the first of equals; with several, the Pareto front.

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
        """Let a trial compete; one whose objectives or constraints are not finite cannot."""
        found = Candidate(item, metrics, self.search.losses(metrics))
        violations = self.search.violations(metrics).values()
        if not all(map(math.isfinite, (*found.losses, *violations))):
            return
        if (violation := sum(v for v in violations if v > 0)) > 0:
            if violation < self._least:
                self._least, self.nearest = violation, found
        elif not any(_no_worse(other, found) for other in self.front):
            kept = [other for other in self.front if not _no_worse(found, other)]
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


def _no_worse(one: Candidate[T], other: Candidate[T]) -> bool:
    return all(a <= b for a, b in zip(one.losses, other.losses, strict=True))
