"""What a trial and a sweep may cost, and how often a trial whose worker died is tried again."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from sweeper.declare.validation import Declared


class Limits(Declared):
    """Limits of a trial and of its sweep; None is no limit.

    Attributes:
        retries: how often a trial is tried again whose worker died or ran out of memory.
        trial_timeout_s: wall time of a trial, that of all its attempts together, seconds.
        memory_gib: resident memory of a trial's worker process, GiB (2^30 bytes).
        budget_trial_hours: wall time of all trials that the sweep has run, hours.
        budget_gpu_hours: the same times the GPUs that a trial holds.
        equal_failures: how many trials in a row may fail with the same error (numbers aside) before
            no further one starts; 0 is no limit.
    """

    retries: int = Field(default=2, ge=0, le=100)
    trial_timeout_s: float | None = Field(default=None, gt=0)
    memory_gib: float | None = Field(default=None, gt=0)
    budget_trial_hours: float | None = Field(default=None, gt=0)
    budget_gpu_hours: float | None = Field(default=None, gt=0)

    equal_failures: int = Field(default=5, ge=0)

    @field_validator("equal_failures", mode="before")
    @classmethod
    def _null_is_no_limit(cls, given: Any) -> Any:
        return 0 if given is None else given

    @property
    def needs_worker(self) -> bool:
        """Whether a limit is set that only a worker process of its own can be held to."""
        return self.trial_timeout_s is not None or self.memory_gib is not None

    def __str__(self) -> str:
        """The limits that are set: `retries 2, trial_timeout_s 60`."""
        given = self.model_dump(exclude_none=True)
        return ", ".join(f"{name} {value:g}" for name, value in given.items())
