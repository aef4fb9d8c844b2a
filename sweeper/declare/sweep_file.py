"""The keys of a sweep file, as written: nothing is resolved yet."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator, model_validator

from sweeper.declare.search import EarlyStopping, Resources, Search
from sweeper.declare.validation import Declared

MAX_SEEDS = 10_000
MAX_DESCRIPTION = 200


def _counted(seeds: Any) -> Any:
    """A number n of seeds stands for 0 to n - 1."""
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        if not 1 <= seeds <= MAX_SEEDS:
            raise ValueError(f"{seeds} seeds; from 1 to {MAX_SEEDS:,}")
        return tuple(range(seeds))
    if not isinstance(seeds, list | tuple):
        raise ValueError("must be a whole number of seeds, or a list of seeds")
    return tuple(seeds)


Seed = Annotated[int, Field(ge=0, lt=2**32)]
Seeds = Annotated[
    tuple[Seed, ...], Field(min_length=1, max_length=MAX_SEEDS), BeforeValidator(_counted)
]


class Limits(Declared):
    """Limits of a trial and of its sweep; None is no limit.

    Attributes:
        retries: how often a trial is rerun after its worker died or ran out of memory.
        trial_timeout_s: wall time of a trial over all its attempts, seconds.
        memory_gib: resident memory of a trial's worker process, GiB (2^30 bytes).
        budget_trial_hours: wall time of all trials that the sweep has run, hours.
        budget_gpu_hours: the same, multiplied by the GPUs per trial.
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
        """Whether a limit is set that can only be enforced on a separate worker process."""
        return self.trial_timeout_s is not None or self.memory_gib is not None

    def __str__(self) -> str:
        """The limits that are set: `retries 2, trial_timeout_s 60`."""
        given = self.model_dump(exclude_none=True)
        return ", ".join(f"{name} {value:g}" for name, value in given.items())


class After(Declared):
    """A sweep that must have run before this one starts, with the changes of `set`."""

    sweep: str
    set: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, given: Any) -> Any:
        return {"sweep": given} if isinstance(given, str) else given


class SweepFile(Declared):
    """The keys of a sweep file; those of `fixed`, `space` and `cases` are the kind's."""

    kind: str
    description: str = Field(default="", max_length=MAX_DESCRIPTION)
    after: After | None = None
    cases: tuple[dict[str, Any], ...] = ()
    fixed: dict[str, Any] = {}
    space: dict[str, Any] = {}
    nulls: tuple[str, ...] = ()
    search: Search = Search()
    trials: Annotated[int, Field(ge=1)] | None = None
    seeds: Seeds = (0,)
    resources: Resources = Resources()
    limits: Limits = Limits()
    early_stopping: EarlyStopping | None = None

    @field_validator("description")
    @classmethod
    def _one_line(cls, text: str) -> str:
        if "\n" in text.strip():
            raise ValueError("a description is one line")
        return text.strip()

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("seeds must be distinct")
        return seeds

    @field_validator("nulls")
    @classmethod
    def _distinct_nulls(cls, nulls: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(nulls)) < len(nulls):
            raise ValueError("nulls must be distinct")
        return nulls
