"""The second hypothesis: does the error of a sparse overbasis stay above zero over training?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from study.verdict.cost import Cost
from study.verdict.curves import Models
from study.verdict.rule import RuleFile
from sweeper.report.words import number, plural
from trials.kernels.statistics import Asymptote, asymptote, mean_interval

H2 = Literal["offset", "zero", "undecided", "not identified", "invalid"]
Interval = tuple[float, float, float]
"""Mean over models and the two ends of its t interval."""

NOTHING: Interval = (math.nan, math.nan, math.nan)


class Size(NamedTuple):
    """The error at the last step with a dictionary of one size, in order of the sizes."""

    n_atoms: float
    n_models: int
    error: Interval
    over_null: Interval
    runs: tuple[str, ...]


class Ends(NamedTuple):
    """The second hypothesis, decided.

    Attributes:
        value, why: the answer.
        models: the group that was followed.
        found: the forms of its curve.
        over_null: real over null at the last step.
        floor: the error that is no more than noise: the rule's share, or the change of the rows
            between the last two checkpoints where that is more; NaN where the change is unknown.
        cost: what the error is worth to the model, nats a token.
        cost_floor: what another seed is worth, times the rule's factor; NaN where unknown.
        cost_runs: ids of the trials that measured the cost.
        sizes: the error at the last step by size of the dictionary.
    """

    value: H2
    why: str
    models: Models | None = None
    found: Asymptote | None = None
    over_null: Interval = NOTHING
    floor: float = math.nan
    cost: Interval = NOTHING
    cost_floor: float = math.nan
    cost_runs: tuple[str, ...] = ()
    sizes: tuple[Size, ...] = ()


def decide_ends(
    curves: Sequence[Models], rule: RuleFile, cost_of: Callable[[Models], Cost]
) -> Ends:
    """H2 from the first group of models; `cost_of` finds what its error is worth."""
    if not any(models.are_learned for models in curves):
        return Ends("invalid", "no pursuit of checkpoints of learned rows")
    models, wanted = curves[0], rule.error
    if why := _invalid(models, rule):
        return Ends("invalid", why, models)
    cost = cost_of(models)
    ends = Ends(
        "not identified",
        "",
        models,
        over_null=_ratio(models, rule.level),
        floor=float(np.maximum(wanted.counts_as_zero, models.row_change.max())),
        cost=mean_interval(cost.costs, rule.level),
        cost_floor=wanted.cost_seed_sds * cost.seed_sd,
        cost_runs=cost.runs,
        sizes=_sizes(models, curves, rule),
    )
    late = models.steps > 0
    floor = ends.floor if math.isfinite(ends.floor) else wanted.counts_as_zero
    found = asymptote(
        models.steps[late],
        models.real[:, late],
        noise=floor,
        zero=wanted.counts_as_zero,
        max_chi2_per_dof=wanted.max_chi2_per_dof,
        max_prediction=wanted.max_prediction,
        horizon=wanted.horizon,
    )
    mean, low, high = mean_interval(models.real[:, -1], rule.level)
    at_last = f"{number(mean, 3)} [{number(low, 3)}, {number(high, 3)}] at the last step"
    if low <= floor and high > wanted.counts_as_zero:
        return ends._replace(value="undecided", why=f"{at_last}: zero or not", found=found)
    n = sum(fit.accepted for fit in found.fits)
    why = f"{at_last}; {plural(n, 'form')} of {len(found.fits)} fit and predict"
    if found.ending == "offset" and (doubt := _doubt(ends)):
        return ends._replace(value="undecided", why=f"{why}, but {doubt}", found=found)
    return ends._replace(value=found.ending, why=why, found=found)


def _invalid(models: Models, rule: RuleFile) -> str:
    """Why these models cannot decide anything, "" if they can."""
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


def _doubt(ends: Ends) -> str:
    """Why an error that stays may yet be noise, "" if it may not."""
    if not math.isfinite(ends.floor):
        return "the noise of the training is not known"
    mean, low, high = ends.cost
    if not math.isfinite(mean):
        return "what the error is worth to the model was not measured"
    if low <= ends.cost_floor:
        return (
            f"to the model it is worth {number(mean, 3)} nats [{number(low, 3)}, "
            f"{number(high, 3)}], another seed {number(ends.cost_floor, 3)}"
        )
    return "" if math.isfinite(ends.cost_floor) else "what another seed is worth is not known"


def _sizes(models: Models, curves: Sequence[Models], rule: RuleFile) -> tuple[Size, ...]:
    """Every size at which the same models were pursued at the same last step."""
    last = models.steps[-1]
    same = [
        group
        for group in curves
        if (group.family, group.is_warm, group.kind_version, group.models)
        == (models.family, models.is_warm, models.kind_version, models.models)
        and len(group.steps)
        and group.steps[-1] == last
    ]
    return tuple(
        Size(
            group.n_atoms,
            len(group.models),
            mean_interval(group.real[:, -1], rule.level),
            _ratio(group, rule.level),
            group.runs,
        )
        for group in sorted(same, key=lambda group: group.n_atoms)
    )


def _ratio(models: Models, level: float) -> Interval:
    """Real over null at the last step."""
    logs = mean_interval(np.log(models.real[:, -1] / models.null[:, -1]), level)
    mean, low, high = (math.exp(value) for value in logs)
    return mean, low, high
