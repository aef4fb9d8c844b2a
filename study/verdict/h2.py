"""The second hypothesis: does the error of a sparse overbasis stay above zero over training?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from study.verdict.cost import Cost
from study.verdict.curves import ModelGroup
from study.verdict.rule import RuleFile
from sweeper.report.words import number, plural
from trials.kernels.statistics import Asymptote, asymptote, mean_interval

H2Value = Literal["offset", "zero", "undecided", "not identified", "invalid"]
Interval = tuple[float, float, float]
"""Mean over models, and both ends of its t interval."""

NOTHING: Interval = (math.nan, math.nan, math.nan)


class SizeResult(NamedTuple):
    """The error at the last step with a dictionary of one size."""

    n_atoms: float
    n_models: int
    error: Interval
    over_null: Interval
    runs: tuple[str, ...]


class H2(NamedTuple):
    """The second hypothesis, decided.

    Attributes:
        value, why: the answer.
        models: the group that decides.
        fitted: the forms of its curve over training.
        over_null: real over null at the last step.
        floor: an error at or below it may be noise. It is the larger of the rule's share and the
            change of the rows between the last two checkpoints; NaN where that is unknown.
        cost: rise of the model's loss when codes replace its rows, nats per token.
        cost_floor: standard deviation of the loss over seeds, times the rule's factor; NaN where
            unknown.
        cost_runs: ids of the trials that measured the cost.
        sizes: the error at the last step by size of the dictionary.
    """

    value: H2Value
    why: str
    models: ModelGroup | None = None
    fitted: Asymptote | None = None
    over_null: Interval = NOTHING
    floor: float = math.nan
    cost: Interval = NOTHING
    cost_floor: float = math.nan
    cost_runs: tuple[str, ...] = ()
    sizes: tuple[SizeResult, ...] = ()


def decide_h2(
    groups: Sequence[ModelGroup], rule: RuleFile, cost_of: Callable[[ModelGroup], Cost]
) -> H2:
    """H2 from the first group of models; `cost_of` finds what its error costs."""
    if not any(models.are_learned for models in groups):
        return H2("invalid", "no pursuit of checkpoints of learned rows")
    models, wanted = groups[0], rule.error
    if why := _invalid(models, rule):
        return H2("invalid", why, models)
    cost = cost_of(models)
    h2 = H2(
        "not identified",
        "",
        models,
        over_null=_ratio(models, rule.level),
        floor=float(np.maximum(wanted.counts_as_zero, models.row_change.max())),
        cost=mean_interval(cost.costs, rule.level),
        cost_floor=wanted.cost_seed_sds * cost.seed_sd,
        cost_runs=cost.runs,
        sizes=_sizes(models, groups, rule),
    )
    late = models.steps > 0
    floor = h2.floor if math.isfinite(h2.floor) else wanted.counts_as_zero
    fitted = asymptote(
        models.steps[late],
        models.real[:, late],
        noise=floor,
        zero=wanted.counts_as_zero,
        max_chi2_per_dof=wanted.max_chi2_per_dof,
        max_prediction=wanted.max_prediction,
        horizon=wanted.horizon,
        least_slope=wanted.slope_min,
        margin=wanted.aic_margin,
    )
    mean, low, high = mean_interval(models.real[:, -1], rule.level)
    at_last = f"{number(mean, 3)} [{number(low, 3)}, {number(high, 3)}] at the last step"
    if low <= floor and high > wanted.counts_as_zero:
        return h2._replace(value="undecided", why=f"{at_last}: zero or not", fitted=fitted)
    n = sum(fit.accepted for fit in fitted.fits)
    why = f"{at_last}; {plural(n, 'form')} of {len(fitted.fits)} fit and predict"
    if n:
        why = f"{why}; the best by AIC is '{fitted.best}'"
    if fitted.slope_high < 0:
        why = f"{why}; it rises over the last decade of steps"
    if fitted.ending == "offset" and (doubt := _doubt(h2)):
        return h2._replace(value="undecided", why=f"{why}, but {doubt}", fitted=fitted)
    return h2._replace(value=fitted.ending, why=why, fitted=fitted)


def _invalid(models: ModelGroup, rule: RuleFile) -> str:
    """Why these models cannot decide H2; "" if they can."""
    late = int((models.steps > 0).sum())
    if len(models.models) < rule.seeds_min:
        return f"{plural(len(models.models), 'model')}; the rule asks for {rule.seeds_min}"
    if models.uncertified:
        return f"uncertified: {models.uncertified}"
    if models.missing_nulls:
        return f"{plural(models.missing_nulls, 'checkpoint')} without a null at the same l0"
    if late < rule.error.checkpoints_min:
        return f"{plural(late, 'checkpoint')} after step 0; {rule.error.checkpoints_min} needed"
    return ""


def _doubt(h2: H2) -> str:
    """Why an error that stays may still be noise; "" if it is not."""
    if not math.isfinite(h2.floor):
        return "the noise of the training is not known"
    mean, low, high = h2.cost
    if not math.isfinite(mean):
        return "what the error costs the model was not measured"
    if low <= h2.cost_floor:
        return (
            f"it costs the model {number(mean, 3)} nats [{number(low, 3)}, "
            f"{number(high, 3)}], and seeds alone differ by {number(h2.cost_floor, 3)}"
        )
    return "" if math.isfinite(h2.cost_floor) else "how much seeds differ is not known"


def _sizes(
    models: ModelGroup, groups: Sequence[ModelGroup], rule: RuleFile
) -> tuple[SizeResult, ...]:
    """Every size at which the same models were pursued at the same last step."""
    last = models.steps[-1]
    same = [
        group
        for group in groups
        if (group.family, group.is_warm, group.kind_version, group.models)
        == (models.family, models.is_warm, models.kind_version, models.models)
        and len(group.steps)
        and group.steps[-1] == last
    ]
    return tuple(
        SizeResult(
            group.n_atoms,
            len(group.models),
            mean_interval(group.real[:, -1], rule.level),
            _ratio(group, rule.level),
            group.runs,
        )
        for group in sorted(same, key=lambda group: group.n_atoms)
    )


def _ratio(models: ModelGroup, level: float) -> Interval:
    """Real over null at the last step."""
    logs = mean_interval(np.log(models.real[:, -1] / models.null[:, -1]), level)
    mean, low, high = (math.exp(value) for value in logs)
    return mean, low, high
