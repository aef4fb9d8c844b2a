"""Spaces and objectives in Optuna's terms."""

from __future__ import annotations

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from sweeper.declare.space import Choice, Dimension, FloatRange, IntRange
from sweeper.declare.sweep import Sweep

DIRECTION = {"minimise": "minimize", "maximise": "maximize"}


def distribution(dimension: Dimension) -> BaseDistribution:
    """Optuna's equivalent of one dimension, bounds inclusive on both sides."""
    match dimension:
        case Choice():
            return CategoricalDistribution(list(dimension.values))
        case IntRange():
            step = 1 if dimension.log else (dimension.step or 1)
            return IntDistribution(dimension.low, dimension.high, log=dimension.log, step=step)
        case FloatRange():
            return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
    raise TypeError(f"no distribution for {type(dimension).__name__}")


def distributions_of(sweep: Sweep) -> dict[str, BaseDistribution]:
    """Optuna's distributions of the space's fields."""
    return {name: distribution(dimension) for name, dimension in sweep.space.items()}


def directions_of(sweep: Sweep) -> list[str]:
    """Optuna's word for the direction of each objective."""
    return [DIRECTION[objective.direction] for objective in sweep.search.objectives]
