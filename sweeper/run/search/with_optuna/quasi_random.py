"""Evenly spread points of a space.

Optuna's own sequence counts in the sampler, which a new driver would begin anew.
"""

from __future__ import annotations

from collections.abc import Mapping

from scipy.stats import qmc

from sweeper.declare.space import Dimension
from sweeper.records import Scalar


class QuasiRandom:
    """A scrambled Sobol sequence over a space."""

    def __init__(self, space: Mapping[str, Dimension], seed: int) -> None:
        self._space, self._seed = space, seed

    def point(self, number: int) -> dict[str, Scalar]:
        """The point of that number, whichever were asked for before."""
        sequence = qmc.Sobol(len(self._space), rng=self._seed)
        if number:  # scipy cannot go forward by nothing
            sequence.fast_forward(number)
        along = sequence.random(1)[0]
        return {
            name: dimension.at(float(t))
            for (name, dimension), t in zip(self._space.items(), along, strict=True)
        }
