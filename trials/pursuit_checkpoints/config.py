"""The fields of the kind `pursuit_checkpoints`."""

from __future__ import annotations

import math
from itertools import pairwise

from pydantic import Field, field_validator, model_validator

from trials.inputs.sources.uri import training_step, uri_at_step
from trials.pursuit.config import PursuitConfig


class PursuitCheckpointsConfig(PursuitConfig):
    """One size of dictionary along the checkpoints of one training, at one relative penalty."""

    earlier_steps: tuple[int, ...] = Field(
        min_length=1,
        description="training steps of the checkpoints before that of source, rising; the last "
        "checkpoint is source itself",
    )
    cold_every: int = Field(
        default=5,
        ge=1,
        description="the last of so many checkpoints is also learned from a cold start, counted "
        "back from source",
    )

    @field_validator("earlier_steps", mode="before")
    @classmethod
    def _a_list_is_meant(cls, given: object) -> object:
        return tuple(given) if isinstance(given, list) else given

    @model_validator(mode="after")
    def _in_order(self) -> PursuitCheckpointsConfig:
        last = training_step(self.source)
        if math.isnan(last):
            raise ValueError(
                f"source {self.source!r} names no training step, as hub:NAME@step3000 and "
                "run:RUN_ID/step-001000 do"
            )
        steps = (*self.earlier_steps, last)
        if steps[0] < 0 or any(step >= after for step, after in pairwise(steps)):
            raise ValueError(
                f"earlier_steps {list(self.earlier_steps)} must rise from 0 or more and end before "
                f"{last:.0f}, the step of source"
            )
        return self

    @property
    def steps(self) -> tuple[int, ...]:
        """The training steps, rising; the last is that of `source`."""
        return (*self.earlier_steps, int(training_step(self.source)))

    def at(self, step: int) -> PursuitConfig:
        """The pursuit of the checkpoint at that step by itself."""
        shared = {name: getattr(self, name) for name in PursuitConfig.model_fields}
        return PursuitConfig(**shared | {"source": uri_at_step(self.source, step)})

    def is_checked(self, n: int) -> bool:
        """Whether checkpoint `n`, counted from 0, is learned from a cold start too."""
        return n > 0 and (len(self.earlier_steps) - n) % self.cold_every == 0
