"""The points of a space: which of them were visited, and others at random."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import numpy as np

from sweeper.declare.space import Dimension
from sweeper.records import Scalar

_MAX_MISSES = 100
"""Draws in a row that were visited before, after which the unvisited points are counted out."""


class Points:
    """Keeps every point of a space from being visited twice.

    Attributes:
        size: number of points of the space; inf where a dimension is a continuum.
    """

    def __init__(self, space: Mapping[str, Dimension]) -> None:
        self._space = space
        self._visited: set[tuple[Scalar, ...]] = set()
        every = [dimension.every() for dimension in space.values()]
        self._every = [values for values in every if values is not None]
        is_finite = len(self._every) == len(every)
        self.size: float = math.prod(map(len, self._every)) if is_finite else math.inf

    def __contains__(self, assignment: Mapping[str, Scalar]) -> bool:
        """Whether the space has that point."""
        return assignment.keys() == self._space.keys() and all(
            dimension.contains(assignment[name]) for name, dimension in self._space.items()
        )

    @property
    def all_visited(self) -> bool:
        """Whether nothing is left."""
        return len(self._visited) >= self.size

    def visit(self, assignment: Mapping[str, Scalar]) -> bool:
        """Take note of a point; false if it was visited before."""
        point = tuple(assignment[name] for name in self._space)
        is_new = point not in self._visited
        self._visited.add(point)
        return is_new

    def visit_another(self, rng: np.random.Generator) -> dict[str, Scalar] | None:
        """Visit a random point for the first time; None if there is no such point."""
        for _ in range(_MAX_MISSES):
            drawn = {name: dimension.sample(rng) for name, dimension in self._space.items()}
            if self.visit(drawn):
                return drawn
        if math.isinf(self.size):  # so narrow a continuum holds no more numbers
            return None
        left = [p for p in itertools.product(*self._every) if p not in self._visited]
        if not left:
            return None
        found = dict(zip(self._space, left[rng.integers(len(left))], strict=True))
        self.visit(found)
        return found
