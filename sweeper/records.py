"""The values that pass between declare, run, store and look. All frozen, all JSON.

One trial is an `Assignment` (what the search chose), then a `TrialSpec` (resolved, keyed), then an
`Outcome` (what happened), and lies in the database as a `TrialRow`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

Scalar = bool | int | float | str | None
"""The value of a config field that a sweep may vary."""


class Record(BaseModel):
    """A frozen value that survives a round trip through JSON, NaN and infinities included."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class TrialState(StrEnum):
    """Where a trial stands."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    PRUNED = "PRUNED"
    FAILED = "FAILED"


class TrialSpec(Record):
    """One trial that a sweep declares: a resolved config and its identity.

    Attributes:
        key: hash of (kind, kind version, resolved config, input digests).
        config: every field of the config, defaults included.
        varied: names of the fields that the sweep varies (seed included where it has replicates).
        is_control: a null, never "best".
    """

    key: str
    kind: str
    kind_version: int
    config: dict[str, Any]
    input_digests: dict[str, str]
    varied: tuple[str, ...] = ()
    is_control: bool = False

    @property
    def label(self) -> str:
        """A short name from the varied fields: `null=none n_atoms=2x l1_penalty=0.1`."""
        parts = (f"{name}={_short(self.config[name])}" for name in self.varied)
        return " ".join(parts) or f"{self.kind} {self.key[:8]}"


class Artifact(Record):
    """A file that a trial left: its path inside the trial, size and digest."""

    path: str
    sha256: str
    n_bytes: int


class Outcome(Record):
    """What became of one trial.

    Attributes:
        metrics: the declared metrics, plus the service's own under `system/`.
        facts: short texts that name what was done.
        uncertified: why the numbers must not count as best ("" when certified).
        error: one line ("" unless FAILED).
        started_ms, ended_ms: Unix time in milliseconds.
    """

    key: str
    state: TrialState
    metrics: dict[str, float] = {}
    artifacts: tuple[Artifact, ...] = ()
    facts: dict[str, str] = {}
    provenance: dict[str, str] = {}
    uncertified: str = ""
    error: str = ""
    started_ms: int = 0
    ended_ms: int = 0

    @property
    def certified(self) -> bool:
        """Whether the numbers may count as best."""
        return not self.uncertified


class TrialRow(Record):
    """One trial as the database holds it."""

    run_id: str
    sweep: str
    submission: str
    kind: str
    kind_version: int
    key: str
    state: TrialState
    label: str
    params: dict[str, Scalar]
    metrics: dict[str, float]
    facts: dict[str, str] = {}
    provenance: dict[str, str] = {}
    artifacts: tuple[Artifact, ...] = ()
    varied: tuple[str, ...] = ()
    is_control: bool = False
    uncertified: str = ""
    error: str = ""
    reused_from: str = ""
    started_ms: int = 0
    ended_ms: int = 0

    @property
    def duration_s(self) -> float:
        """Wall time from start to end, seconds (0 while running)."""
        return max(0, self.ended_ms - self.started_ms) / 1000

    @property
    def outcome(self) -> Outcome:
        """What became of it, as its driver recorded that."""
        return Outcome(
            key=self.key,
            state=self.state,
            metrics=self.metrics,
            artifacts=self.artifacts,
            facts=self.facts,
            provenance={k: v for k, v in self.provenance.items() if not k.startswith("input.")},
            uncertified=self.uncertified,
            error=self.error,
            started_ms=self.started_ms,
            ended_ms=self.ended_ms,
        )


def now_ms() -> int:
    """Unix time in milliseconds."""
    return int(datetime.now(UTC).timestamp() * 1000)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def flat_params(config: Mapping[str, Any]) -> dict[str, Scalar]:
    """A resolved config as scalars: nested values become `a.b`, sequences become JSON text."""
    flat: dict[str, Scalar] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{inner}": v for inner, v in flat_params(value).items()}
        elif isinstance(value, Scalar):
            flat[name] = value
        else:
            flat[name] = str(value)
    return flat
