"""One test on one type of data, and how often it may or must be positive."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

LEVEL = 0.05
Draw = Callable[[np.random.Generator], np.ndarray]


class Case(NamedTuple):
    """One test on one type of data.

    Attributes:
        test: what is tested for.
        data: what the data holds.
        draw: `draw(rng)`, bool, whether the test was positive on each data set that was drawn.
        most, least: bounds of the share of positive draws.
    """

    test: str
    data: str
    draw: Draw
    most: float = 1.0
    least: float = 0.0
