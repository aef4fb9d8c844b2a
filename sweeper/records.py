"""The values that pass between declare, run, store and report. All are frozen and convert to JSON.

A trial begins as an assignment (what the search chose), becomes a `TrialSpec` (resolved, with its
key) and ends with an `Outcome` (what happened). The database holds it as a `TrialRow`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

Scalar = bool | int | float | str | None
"""The value of a config field that a sweep may vary."""

SEED = "seed"
"""The config field that differs between replicates of a setting."""

INPUT = "input."
"""Prefix of an input's digest in the provenance of a stored trial."""


class Record(BaseModel):
    """A frozen value that survives a round trip through JSON, including NaN and infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class TrialState(StrEnum):
    """The state of a trial."""

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
        varied: names of the fields that the sweep varies (with the seed if it has replicates).
        is_control: whether it is a null, which never counts as "best".
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
        """The varied fields: `null=none n_atoms=2x l1_penalty=0.1`."""
        return trial_label(self.kind, self.key, self.config, self.varied)

    @property
    def setting(self) -> str:
        """A short hash of everything in the key but the seed: replicates share it."""
        params = flat_params(self.config)
        return setting_hash(self.kind, self.kind_version, params, self.input_digests)

    @property
    def setting_label(self) -> str:
        """`label` without the seed."""
        names = [name for name in self.varied if name != SEED]
        return _words(names, self.config) or f"{self.kind} {self.setting[:8]}"


class Artifact(Record):
    """A file that a trial wrote: its path inside the trial, size and digest."""

    path: str
    sha256: str
    n_bytes: int


class Outcome(Record):
    """The result of one trial.

    Attributes:
        metrics: the declared metrics, plus the service's own under `system/`.
        facts: short texts about what was done, by name.
        uncertified: why the metrics must not count as best ("" if certified).
        error: one line ("" unless the state is FAILED).
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
        """Whether the metrics may count as best."""
        return not self.uncertified


class TrialRow(Record):
    """One trial as the database holds it; `pruned` are paths of artifacts that were removed."""

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
    pruned: tuple[str, ...] = ()

    @property
    def held(self) -> tuple[Artifact, ...]:
        """The artifacts that are stored with it: a reused trial has none of its own."""
        kept = () if self.reused_from else self.artifacts
        return tuple(artifact for artifact in kept if artifact.path not in self.pruned)

    @property
    def n_bytes(self) -> int:
        """Size of the artifacts that are stored with it."""
        return sum(artifact.n_bytes for artifact in self.held)

    @property
    def duration_s(self) -> float:
        """Wall time from start to end, seconds (0 while running)."""
        return max(0, self.ended_ms - self.started_ms) / 1000

    @property
    def inputs(self) -> dict[str, str]:
        """Digest of each input, by name."""
        return {
            name.removeprefix(INPUT): digest
            for name, digest in self.provenance.items()
            if name.startswith(INPUT)
        }

    @property
    def setting(self) -> str:
        """A short hash of everything in the key but the seed: replicates share it.

        It covers kind, kind version, config without seed, and the digests of the inputs.
        """
        return setting_hash(self.kind, self.kind_version, self.params, self.inputs)

    @property
    def setting_label(self) -> str:
        """The varied fields without the seed: `null=none n_atoms=2x l1_penalty=0.1`."""
        names = [name for name in self.varied if name != SEED and name in self.params]
        return _words(names, self.params) or f"{self.kind} {self.setting[:8]}"

    @property
    def outcome(self) -> Outcome:
        """Its result, as the driver recorded it."""
        return Outcome(
            key=self.key,
            state=self.state,
            metrics=self.metrics,
            artifacts=self.artifacts,
            facts=self.facts,
            provenance={k: v for k, v in self.provenance.items() if not k.startswith(INPUT)},
            uncertified=self.uncertified,
            error=self.error,
            started_ms=self.started_ms,
            ended_ms=self.ended_ms,
        )


class Deleted(NamedTuple):
    """What of a sweep was deleted in MLflow: it stays in MLflow's trash until `mlflow gc`.

    Attributes:
        sweep: whether the whole experiment was deleted.
        keys: finished trials with a deleted run; each may have another run that is not deleted.
            Those that `sweeper rm` removed do not count.
        is_half_removed: whether a removal of the sweep, or of one of its trials, was interrupted.
    """

    sweep: bool = False
    keys: frozenset[str] = frozenset()
    is_half_removed: bool = False


def now_ms() -> int:
    """Unix time in milliseconds."""
    return int(datetime.now(UTC).timestamp() * 1000)


def setting_hash(
    kind: str, version: int, params: Mapping[str, Scalar], inputs: Mapping[str, str]
) -> str:
    """A short hash of everything in the key but the seed."""
    shared = sorted((name, value) for name, value in params.items() if name != SEED)
    text = json.dumps([kind, version, shared, sorted(inputs.items())])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _words(names: Iterable[str], values: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={short_value(values.get(name))}" for name in names)


def trial_label(kind: str, key: str, config: Mapping[str, Any], fields: Iterable[str]) -> str:
    """A readable name: the given config fields, or kind and key if there are none."""
    return _words(fields, config) or f"{kind} {key[:8]}"


def short_value(value: Any) -> str:
    """A value as text for a label; floats have four significant digits."""
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
