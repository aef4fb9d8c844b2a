"""How a sweep walks its space: method, objectives, resources, early stopping."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from sweeper.declare.validation import Declared
from trials.api import Direction

Method = Literal["grid", "random", "optuna"]
Sampler = Literal["tpe", "random"]


class Objective(Declared):
    """A metric to optimise. Direction "none" stands for the metric's own until it is resolved."""

    metric: str
    direction: Direction = "none"

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, given: Any) -> Any:
        return {"metric": given} if isinstance(given, str) else given


class Search(Declared):
    """Where proposals come from. `seed` starts random draws; `sampler` is Optuna's."""

    method: Method = "grid"
    objectives: tuple[Objective, ...] = ()
    seed: int = Field(default=0, ge=0, lt=2**32)
    sampler: Sampler = "tpe"

    @model_validator(mode="before")
    @classmethod
    def _bare_method(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"method": given}
        # Past a validator like this one pydantic takes no list for a tuple any more.
        if isinstance(given, dict) and isinstance(given.get("objectives"), list):
            return given | {"objectives": tuple(given["objectives"])}
        return given

    @model_validator(mode="after")
    def _consistent(self) -> Search:
        if "sampler" in self.model_fields_set and self.method != "optuna":
            raise ValueError(f"sampler with method {self.method}; only optuna has samplers")
        if "seed" in self.model_fields_set and self.method == "grid":
            raise ValueError("seed with method grid; a grid draws nothing (replicates: seeds)")
        metrics = [objective.metric for objective in self.objectives]
        if len(set(metrics)) < len(metrics):
            raise ValueError("an objective is given twice; objectives must be distinct")
        return self


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

    `grace` is the number of reports before a trial can be stopped; `reduction` the share that
    asha lets go on at each rung (1 in `reduction`).
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
