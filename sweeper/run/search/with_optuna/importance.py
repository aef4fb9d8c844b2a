"""How much each searched field matters, by Optuna."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from sweeper.records import Scalar

optuna.logging.set_verbosity(optuna.logging.WARNING)

MAX_RATED = 256
"""Most settings that importance is computed from, evenly over the search; cost grows faster."""


def field_importances(
    assignments: Sequence[Mapping[str, Scalar]], values: Sequence[float]
) -> dict[str, float]:
    """Share of the variation of `values` that each field explains (fANOVA); they sum to 1.

    Empty where the values do not vary. The fields are distributed over the range that was tried.
    """
    at = np.linspace(0, len(values) - 1, min(len(values), MAX_RATED)).astype(int)
    assignments, values = [assignments[i] for i in at], [values[i] for i in at]
    if len(set(values)) < 2:
        return {}
    distributions = {name: _range([one[name] for one in assignments]) for name in assignments[0]}
    study = optuna.create_study()
    for assignment, value in zip(assignments, values, strict=True):
        params = {name: _param(assignment[name], of) for name, of in distributions.items()}
        study.add_trial(
            optuna.trial.create_trial(params=params, distributions=distributions, value=value)
        )
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=32, seed=0)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in found.items()}


def _range(values: Sequence[Scalar]) -> BaseDistribution:
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) < len(values):
        return CategoricalDistribution(sorted({str(value) for value in values}))
    low, high = min(numbers), max(numbers)
    is_log = low > 0 and high >= 10 * low
    if all(isinstance(number, int) for number in numbers):
        return IntDistribution(int(low), int(high), log=is_log)
    return FloatDistribution(low, high, log=is_log)


def _param(value: Scalar, distribution: BaseDistribution) -> Scalar:
    return str(value) if isinstance(distribution, CategoricalDistribution) else value
