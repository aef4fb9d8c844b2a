"""Named columns of all trials of a store: a query costs what its columns cost.

A run's tags give what the trial is, its record the config and the names of its metrics, and
`latest_metrics` the values. MLflow's `params` are not read: they are texts, the record is typed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from sweeper.errors import UserError
from sweeper.records import Scalar, TrialState, flat_params, setting_hash, trial_label
from sweeper.store.run_format.record import (
    RECORD_TAGS,
    RecordParts,
    is_copy,
    record_text,
    unclipped,
)
from sweeper.store.sql.database import Database
from sweeper.store.sql.trials import StoredRun, find_runs, read_tags

_TAGS = (
    *RECORD_TAGS,
    "submission",
    "kind",
    "trial_key",
    "state",
    "setting",
    "uncertified",
    "error",
    "reused_from",
)
_AT_ONCE = 5000
_FEW = 20
_KEYS = """
WITH RECURSIVE names(name) AS (
    SELECT MIN(key) FROM {table}
    UNION ALL
    SELECT (SELECT MIN(key) FROM {table} WHERE key > name) FROM names WHERE name IS NOT NULL
)
SELECT name FROM names WHERE name IS NOT NULL
"""
_IS_OF_A_TRIAL = """
SELECT 1 FROM {table} AS named
JOIN runs ON runs.run_uuid = named.run_uuid
JOIN experiments ON experiments.experiment_id = runs.experiment_id
JOIN tags AS role ON role.run_uuid = runs.run_uuid AND role.key = 'role' AND role.value = 'trial'
WHERE named.key = ? AND runs.lifecycle_stage = 'active' AND experiments.lifecycle_stage = 'active'
LIMIT 1
"""


class TrialCells:
    """One trial, as far as a table needs it; the attributes are those of `TrialRow`."""

    def __init__(self, run: StoredRun, tags: dict[str, str]) -> None:
        parts = RecordParts(run.run_id, record_text(tags))
        self._run, self._tags, self.parts = run, tags, parts
        self._declared = parts.declared
        for name in RECORD_TAGS:  # kilobytes per trial
            tags.pop(name, None)
        self.run_id, self.sweep = run.run_id, run.sweep
        self.submission, self.kind = tags.get("submission", ""), tags.get("kind", "")
        self.key, self.reused_from = tags.get("trial_key", ""), tags.get("reused_from", "")
        self.uncertified, self.error = tags.get("uncertified", ""), tags.get("error", "")
        self.started_ms = parts.started_ms or run.started_ms
        self.kind_version = int(self._declared.get("kind_version", 0))
        self.is_control = bool(self._declared.get("is_control", False))
        self.inputs: dict[str, str] = self._declared.get("input_digests", {})
        try:
            self.state = TrialState(tags.get("state", TrialState.RUNNING))
        except ValueError as error:
            raise UserError(
                f"the state of run '{run.run_id}' cannot be read: {tags['state']}",
                hint="'sweeper fsck --repair' restores it from the journal",
            ) from error

    @property
    def duration_s(self) -> float:
        """Wall time from start to end, seconds (0 while running)."""
        return max(0, self._run.ended_ms - self.started_ms) / 1000

    @cached_property
    def params(self) -> dict[str, Scalar]:
        """The fields of the config, nested ones by their path."""
        return flat_params(self._declared.get("config", {}))

    @property
    def label(self) -> str:
        """The varied fields, as in `TrialSpec.label`."""
        config = self._declared.get("config", {})
        varied = tuple(self._declared.get("varied", ()))
        return trial_label(self.kind, self.key, config, varied) if config else self._run.name

    @property
    def setting(self) -> str:
        """A short hash of everything in the key but the seed."""
        stored = self._tags.get("setting", "")
        return stored or setting_hash(self.kind, self.kind_version, self.params, self.inputs)


class Columns(NamedTuple):
    """Trials and the metrics that were asked for.

    Attributes:
        trials: in the order of `find_runs`.
        metrics: float64 values by name, one per trial; NaN if missing.
    """

    trials: list[TrialCells]
    metrics: dict[str, np.ndarray]


class Names(NamedTuple):
    """Names that a table may have as columns: config fields and metrics."""

    params: list[str]
    metrics: list[str]


def column_names(database: Database) -> Names:
    """Names of params and metrics that active trials have."""
    params, metrics = (
        [
            name
            for (name,) in database.select(_KEYS.format(table=table))
            if database.select(_IS_OF_A_TRIAL.format(table=table), [name])
        ]
        for table in ("params", "latest_metrics")
    )
    return Names(params, [name for name in metrics if not is_copy(name)])


def read_columns(
    database: Database, metrics: Collection[str], *, sweeps: Sequence[str] = ()
) -> Columns:
    """All trials, or those of some sweeps, with the named metrics.

    Raises:
        UserError: the record or the state of a trial is damaged.
    """
    runs = find_runs(database, sweeps=sweeps)
    # As the record writes them.
    quoted = {name: json.dumps(name, ensure_ascii=False) for name in metrics}
    values = {name: np.full(len(runs), np.nan) for name in quoted}
    present: set[str] = set()
    trials: list[TrialCells] = []
    for start in range(0, len(runs), _AT_ONCE):
        part = runs[start : start + _AT_ONCE]
        run_ids = [run.run_id for run in part]
        tags = read_tags(database, run_ids, _TAGS)
        cells = {run.run_id: TrialCells(run, tags[run.run_id]) for run in part}
        trials += cells.values()
        place = {run_id: start + at for at, run_id in enumerate(run_ids)}
        for run_id, name, value, is_nan in _values(database, run_ids, quoted):
            if name in quoted and cells[run_id].parts.has_metric(quoted[name]):
                present.add(name)
                values[name][place[run_id]] = float("nan") if is_nan else unclipped(value)
    return Columns(trials, {name: values[name] for name in sorted(present)})


def _values(
    database: Database, run_ids: Sequence[str], names: Collection[str]
) -> Iterator[tuple[Any, ...]]:
    query = "SELECT run_uuid, key, value, is_nan FROM latest_metrics WHERE run_uuid IN"
    if len(names) > _FEW:  # one pass over a run's metrics costs less than a search for each name
        return database.select_in(query, run_ids)
    if not names:
        return iter(())
    chosen = f"key IN ({', '.join('?' * len(names))}) AND run_uuid IN"
    return database.select_in(query.replace("run_uuid IN", chosen), run_ids, sorted(names))
