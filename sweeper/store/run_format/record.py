"""Converts a trial to the tags, params and metrics of an MLflow run, and back, without mlflow.

MLflow's params are strings and its tags have no types, so the typed record is stored as JSON, split
into tags. Params and `swept/*` metrics are copies for searching in the UI.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sweeper.errors import UserError, one_line
from sweeper.records import (
    Artifact,
    Outcome,
    Record,
    Scalar,
    TrialRow,
    TrialSpec,
    TrialState,
    flat_params,
    trial_label,
)
from sweeper.store.artifacts import sha256_of

MAX_TAG_CHARS = 8000
# The UI hides tags that begin with `mlflow.`. Older stores have the other name.
_RECORD_TAG, _OLD_RECORD_TAG, _MAX_RECORD_PARTS = "mlflow.sweeper.record", "sweeper.record", 4
RECORD_TAGS = tuple(
    f"{name}.{part}" for name in (_RECORD_TAG, _OLD_RECORD_TAG) for part in range(_MAX_RECORD_PARTS)
)
"""The tags that may hold a typed record."""
NEW_RECORD_TAG = RECORD_TAGS[0]
"""The one that wins where a run has records of both names."""
REMOVED_TAG = "sweeper.removed"
"""Since when somebody removes a run or a whole experiment; set first, deleted last."""
PRUNED_TAG = "sweeper.pruned"
"""Paths of artifacts that were removed to free space, as JSON."""
_FILES_TAG = "mlflow.sweeper.files"
_FILES = TypeAdapter(tuple[Artifact, ...])
_PATHS = TypeAdapter(tuple[str, ...])


class _Typed(Record):
    """What a child run stores besides params and metrics."""

    config: dict[str, Any]
    varied: tuple[str, ...]
    kind_version: int
    input_digests: dict[str, str]
    is_control: bool
    artifacts: tuple[Artifact, ...] = ()
    facts: dict[str, str] = {}
    provenance: dict[str, str] = {}
    # Names of the outcome's metrics: a run with several attempts holds values of each.
    metrics: tuple[str, ...] | None = None
    started_ms: int = 0


_UNDESCRIBED = _Typed(config={}, varied=(), kind_version=0, input_digests={}, is_control=False)


def trial_row(
    run_id: str,
    sweep: str,
    name: str,
    tags: Mapping[str, str],
    metrics: Mapping[str, float],
    started_ms: int,
    ended_ms: int,
) -> TrialRow:
    """A trial from its child run.

    Raises:
        UserError: its record or its state is damaged.
    """
    typed = _typed(run_id, tags)
    kind, key = tags.get("kind", ""), tags.get("trial_key", "")
    return TrialRow(
        run_id=run_id,
        sweep=sweep,
        submission=tags.get("submission", ""),
        kind=kind,
        kind_version=typed.kind_version,
        key=key,
        state=TrialState(tags.get("state", TrialState.RUNNING)),
        label=trial_label(kind, key, typed.config, typed.varied) if typed.config else name,
        params=flat_params(typed.config),
        metrics={
            name: unclipped(value)
            for name, value in metrics.items()
            if (name in typed.metrics if typed.metrics is not None else not is_copy(name))
        },
        facts=typed.facts,
        provenance=typed.provenance | {f"input.{k}": v for k, v in typed.input_digests.items()},
        artifacts=typed.artifacts,
        varied=typed.varied,
        is_control=typed.is_control,
        uncertified=tags.get("uncertified", ""),
        error=tags.get("error", ""),
        reused_from=tags.get("reused_from", ""),
        started_ms=typed.started_ms or started_ms,
        ended_ms=ended_ms,
        pruned=pruned_paths(tags),
    )


def trial_spec(run_id: str, tags: Mapping[str, str]) -> TrialSpec:
    """The spec of a run's trial, with its full config; raises UserError as `trial_row` does."""
    typed = _typed(run_id, tags)
    return TrialSpec(
        key=tags.get("trial_key", ""),
        kind=tags.get("kind", ""),
        kind_version=typed.kind_version,
        config=typed.config,
        input_digests=typed.input_digests,
        varied=typed.varied,
        is_control=typed.is_control,
    )


def record_tags(spec: TrialSpec, outcome: Outcome | None = None) -> dict[str, str]:
    """The typed record as JSON, split into tags of the length that MLflow allows."""
    text = _Typed(
        config=spec.config,
        varied=spec.varied,
        kind_version=spec.kind_version,
        input_digests=spec.input_digests,
        is_control=spec.is_control,
        artifacts=outcome.artifacts if outcome else (),
        facts=outcome.facts if outcome else {},
        provenance=outcome.provenance if outcome else {},
        metrics=tuple(outcome.metrics) if outcome else None,
        started_ms=outcome.started_ms if outcome else 0,
    ).model_dump_json()
    parts = [text[at : at + MAX_TAG_CHARS] for at in range(0, len(text), MAX_TAG_CHARS)]
    if len(parts) > _MAX_RECORD_PARTS:
        raise UserError(f"the record of trial {spec.key[:12]} is {len(text)} characters long")
    return {
        f"{_RECORD_TAG}.{at}": parts[at] if at < len(parts) else ""
        for at in range(_MAX_RECORD_PARTS)
    }


def files_tag(files: Iterable[Path]) -> dict[str, str]:
    """The tag that lists a submission's files (report, sweep file): name, size and digest."""
    listed = [Artifact(path=f.name, sha256=sha256_of(f), n_bytes=f.stat().st_size) for f in files]
    return files_tag_of(listed)


def files_tag_of(listed: Sequence[Artifact]) -> dict[str, str]:
    """The same tag for a given list."""
    return {_FILES_TAG: _FILES.dump_json(tuple(listed)).decode()}


def listed_files(tags: Mapping[str, str]) -> tuple[Artifact, ...]:
    """The files of a submission; empty if they were not listed or the list is damaged."""
    try:
        return _FILES.validate_json(tags.get(_FILES_TAG, "[]"))
    except ValidationError:
        return ()


def pruned_tag(paths: Iterable[str]) -> str:
    """The value of `PRUNED_TAG`. Raises UserError if the paths do not fit into a tag."""
    text = json.dumps(sorted(paths), ensure_ascii=False)
    if len(text) > MAX_TAG_CHARS:
        raise UserError(f"the names of the pruned artifacts of one run take {len(text)} characters")
    return text


def pruned_paths(tags: Mapping[str, str]) -> tuple[str, ...]:
    """Paths of the artifacts of a run that were pruned; none if the tag is damaged."""
    try:
        return _PATHS.validate_json(tags.get(PRUNED_TAG) or "[]")
    except ValidationError:
        return ()


def swept_metrics(spec: TrialSpec) -> dict[str, float]:
    """Numeric varied fields as metrics: MLflow cannot filter params by range."""
    values: dict[str, Scalar] = {name: spec.config[name] for name in spec.varied}
    return {
        f"swept/{name}": float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _typed(run_id: str, tags: Mapping[str, str]) -> _Typed:
    text = record_text(tags)
    try:
        TrialState(tags.get("state", TrialState.RUNNING))
        # No text: the driver died after creating the run and before describing it.
        return _Typed.model_validate_json(text) if text else _UNDESCRIBED
    except ValueError as error:
        raise _damaged(run_id, one_line(str(error), 120)) from error


def record_text(tags: Mapping[str, str]) -> str:
    """The typed record of a run as JSON; "" if its driver died before describing it."""
    return _joined(tags, _RECORD_TAG) or _joined(tags, _OLD_RECORD_TAG)


def is_whole_record(tag: str, text: str) -> bool:
    """Whether a tag of a record is all of it."""
    return tag.endswith(".0") and text.endswith("}") and _STARTED in text[-40:]


class RecordParts:
    """What a query needs of a typed record, without parsing the rest of it.

    A record is kilobytes long, and most of it says where the trial ran. Its fields have a fixed
    order: what was declared comes first, the names of the metrics last. A damaged record raises
    UserError when a part of it is read.

    Attributes:
        started_ms: of the outcome, 0 if there is none.
        names: the metrics of the outcome as JSON text; "" while there is no outcome.
    """

    __slots__ = ("_run_id", "_text", "names", "started_ms")

    def __init__(self, run_id: str, text: str) -> None:
        self._run_id, self._text = run_id, text
        self.started_ms, self.names = 0, ""
        if not text:
            return
        at, end = text.rfind(_NAMES), text.rfind(_STARTED)
        try:
            self.started_ms = int(text[end + len(_STARTED) : -1])
            names = text[at + len(_NAMES) : end] if 0 <= at < end else _NO_NAMES
        except ValueError:  # an earlier version's record
            whole = _parsed(run_id, text)
            self.started_ms, names = int(whole["started_ms"]), json.dumps(whole["metrics"])
        self.names = "" if names == _NO_NAMES else names

    @property
    def declared(self) -> dict[str, Any]:
        """`config`, `varied`, `kind_version`, `input_digests` and `is_control`; parsed anew."""
        if not self._text:
            return {}
        head, _, _ = self._text.partition(_AFTER_DECLARED)
        try:
            found: dict[str, Any] = json.loads(f"{head}}}")
        except ValueError:  # an earlier version's record, or a config with a field `artifacts`
            return _parsed(self._run_id, self._text)
        return found


_NO_NAMES = "null"
_AFTER_DECLARED, _NAMES, _STARTED = ',"artifacts":', ',"metrics":', ',"started_ms":'


def _parsed(run_id: str, text: str) -> dict[str, Any]:
    try:
        return _Typed.model_validate_json(text).model_dump(mode="json")
    except ValueError as error:
        raise _damaged(run_id, one_line(str(error), 120)) from error


def _joined(tags: Mapping[str, str], name: str) -> str:
    return "".join(tags.get(f"{name}.{part}", "") for part in range(_MAX_RECORD_PARTS))


def _damaged(run_id: str, why: str) -> UserError:
    return UserError(
        f"the record of run '{run_id}' cannot be read: {why}",
        hint="'sweeper fsck --repair' restores it from the journal",
    )


def is_copy(metric: str) -> bool:
    """Whether a metric of a run is a copy of a swept field."""
    return metric.startswith("swept/")


CLIPPED = 1.7e308
"""What is not smaller was an infinity: MLflow's SQL store keeps it as the largest double."""


def unclipped(value: float) -> float:
    """`value` as it was logged."""
    return math.copysign(math.inf, value) if abs(value) >= CLIPPED else value
