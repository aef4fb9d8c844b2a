"""How a sweep walks its space: method, objectives, constraints, early stopping, and what is best.

`Best` is the one rule, used by Optuna, the progress bar, the final table and the report: a setting
competes with the means over its seeds, once every seed is complete and certified.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import numpy as np
from pydantic import Field, model_validator

from sweeper.declare.validation import Declared
from sweeper.records import Outcome, TrialRow, TrialState
from trials.api import Direction, TrialKind

Method = Literal["grid", "random", "optuna", "target"]
TARGET_TOLERANCE = 0.02
"""How far from a target a metric may end, as a fraction of it, unless the file says."""
Sampler = Literal["auto", "gp", "tpe", "random", "qmc"]


class Objective(Declared):
    """A metric to optimise. Direction "none" stands for the metric's own until it is resolved."""

    metric: str
    direction: Direction = "none"

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, given: Any) -> Any:
        return {"metric": given} if isinstance(given, str) else given


class Bounds(Declared):
    """A constraint on a metric: at least `min`, at most `max`, or both; or a `target`.

    A target is met within `tolerance`, a fraction of it (2 % unless given).
    """

    min: float | None = None
    max: float | None = None
    target: float | None = None
    tolerance: float | None = Field(default=None, gt=0, lt=1)

    @model_validator(mode="after")
    def _consistent(self) -> Bounds:
        if self.target is not None and (self.min is not None or self.max is not None):
            raise ValueError("target and min or max; a constraint has a target, or bounds")
        if self.target is None and self.tolerance is not None:
            raise ValueError("tolerance without target; only a target has a tolerance")
        if self.min is None and self.max is None and self.target is None:
            raise ValueError("a constraint without min or max; give {max: 20}, {min: 1} or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} > max {self.max}; min must not exceed max")
        return self

    @property
    def target_tolerance(self) -> float:
        """How far from the target still meets it, in the metric's unit; 0 without a target."""
        tolerance = TARGET_TOLERANCE if self.tolerance is None else self.tolerance
        return tolerance * (abs(self.target or 0.0) or 1.0)

    def violation(self, value: float) -> float:
        """Distance of `value` beyond a bound, divided by |bound|; at most 0 if all are met.

        It is relative because a sampler adds violations of metrics with different units.
        """
        if self.target is not None:
            beyond = abs(value - self.target) - self.target_tolerance
            return beyond / (abs(self.target) or 1.0)
        beyond_each = [(b, sign) for b, sign in ((self.min, -1), (self.max, 1)) if b is not None]
        return max(sign * (value - b) / (abs(b) or 1.0) for b, sign in beyond_each)

    def log_violation(self, value: float) -> float:
        """`violation` as the logarithm of value / bound, where all are above 0."""
        if (
            self.target is not None
            or value <= 0
            or any(b is not None and b <= 0 for b in (self.min, self.max))
        ):
            return self.violation(value)
        beyond = [(b, sign) for b, sign in ((self.min, -1), (self.max, 1)) if b is not None]
        return max(sign * math.log(value / b) for b, sign in beyond)

    def __str__(self) -> str:
        if self.target is not None:
            return f"= {self.target:g} ± {self.target_tolerance:g}"
        low = "" if self.min is None else f">= {self.min:g}"
        high = "" if self.max is None else f"<= {self.max:g}"
        return " and ".join(filter(None, (low, high)))


class Search(Declared):
    """Where proposals come from, and what makes one of them the best.

    Attributes:
        objectives: resolved, there is at least one, each with a direction.
        constraints: metric -> its bounds; a trial that violates them is never best.
        seed: of the random draws.
        sampler: Optuna's; auto chooses by the space.
    """

    method: Method = "grid"
    objectives: tuple[Objective, ...] = ()
    constraints: dict[str, Bounds] = {}
    seed: int = Field(default=0, ge=0, lt=2**32)
    sampler: Sampler = "auto"

    @model_validator(mode="before")
    @classmethod
    def _bare_method(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"method": given}
        # After a `before` validator, strict pydantic no longer accepts a list for a tuple.
        if isinstance(given, dict) and isinstance(given.get("objectives"), list):
            return given | {"objectives": tuple(given["objectives"])}
        return given

    @model_validator(mode="after")
    def _consistent(self) -> Search:
        if "sampler" in self.model_fields_set and self.method != "optuna":
            raise ValueError(f"sampler with method {self.method}; only optuna has samplers")
        learns = self.method == "optuna" and self.sampler in ("auto", "gp", "tpe")
        targets = [bounds for bounds in self.constraints.values() if bounds.target is not None]
        if self.method == "target":
            if not len(targets) == len(self.constraints) == 1:
                raise ValueError(
                    "method target without one target; give constraints: {METRIC: {target: 16}}"
                )
        elif targets:
            raise ValueError(f"a target with method {self.method}; give method: target")
        elif self.constraints and not learns:
            given = f"sampler {self.sampler}" if self.method == "optuna" else self.method
            raise ValueError(f"constraints with {given}; only optuna's gp and tpe support them")
        if "seed" in self.model_fields_set and self.method in ("grid", "target"):
            what = f"seed with method {self.method}; a {self.method} draws nothing"
            raise ValueError(f"{what} (replicates: seeds)")
        metrics = [objective.metric for objective in self.objectives]
        if len(set(metrics)) < len(metrics):
            raise ValueError("an objective is given twice; objectives must be distinct")
        return self

    @property
    def metrics(self) -> tuple[str, ...]:
        """What decides which setting is best: the objectives, then what is constrained."""
        return tuple(dict.fromkeys([*(o.metric for o in self.objectives), *self.constraints]))

    @property
    def limits(self) -> str:
        """The constraints in words: `l0_validation <= 20`."""
        return ", ".join(f"{name} {bounds}" for name, bounds in self.constraints.items())

    def losses(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """The objectives, negated where they are maximised; NaN if missing."""
        return tuple(
            metrics.get(o.metric, math.nan) * (-1 if o.direction == "maximise" else 1)
            for o in self.objectives
        )

    def violations(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """`Bounds.violation` by constrained metric; NaN if the metric is missing."""
        return {
            name: bounds.violation(metrics.get(name, math.nan))
            for name, bounds in self.constraints.items()
        }


def default_search(kind: TrialKind) -> Search:
    """The search by the kind's own objective, for trials without a sweep file."""
    direction = kind.metric(kind.objective).direction
    return Search(objectives=(Objective(metric=kind.objective, direction=direction),))


class Resources(Declared):
    """What one trial holds while it runs: CPU cores, GPUs (a fraction shares one)."""

    cpu: float = Field(default=1.0, gt=0)
    gpu: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _whole_gpus(self) -> Resources:
        if self.gpu > 1 and not self.gpu.is_integer():
            raise ValueError(f"gpu {self.gpu}; above 1 the number of GPUs must be whole")
        return self


class EarlyStopping(Declared):
    """Stops trials that fall behind on a reported metric.

    `grace` is the number of reports before a trial can be stopped. At each rung asha keeps one in
    `reduction` trials.
    """

    method: Literal["asha", "median"]
    metric: str
    direction: Direction = "none"
    grace: int = Field(default=1, ge=1)
    reduction: int = Field(default=3, ge=2)

    @model_validator(mode="after")
    def _consistent(self) -> EarlyStopping:
        if self.method == "median" and "reduction" in self.model_fields_set:
            raise ValueError("reduction with method median; only asha has a reduction")
        return self


T = TypeVar("T")


class Candidate(NamedTuple, Generic[T]):
    """A setting that competes: its identity, its mean metrics, and its losses under the search."""

    item: T
    metrics: Mapping[str, float]
    losses: tuple[float, ...]


class Best(Generic[T]):
    """The settings within the constraints that no other one dominates.

    With one objective that is one setting, the first of equals. With several it is the Pareto
    front as Optuna defines it, which keeps equals.

    Attributes:
        front: the best, in ascending order of the first loss.
        nearest: the infeasible setting with the smallest total violation; None if there is none.
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
        """Whether `one` dominates `other`, or ties with it on a single objective."""
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
