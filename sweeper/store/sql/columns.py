"""Named columns of all trials of a store: a query costs what its columns cost.

Each tag and each metric that a query names is read for all trials in one statement. A config field
comes from the typed record: MLflow's `params` are texts. A record is kilobytes long, so it is read
in passing and not kept.
"""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from sweeper.errors import UserError
from sweeper.records import INPUT, TrialState, flat_params, setting_hash, trial_label
from sweeper.store.run_format.record import (
    NEW_RECORD_TAG,
    RECORD_TAGS,
    RecordParts,
    is_copy,
    is_whole_record,
    record_text,
)
from sweeper.store.sql.database import Database
from sweeper.store.sql.metrics import HeldMetrics, read_metrics
from sweeper.store.sql.table import TrialTable
from sweeper.store.sql.trials import active_runs

_SCALARS = frozenset((bool, int, float, str, type(None)))
_UNDESCRIBED: dict[str, Any] = {
    "kind_version": 0,
    "is_control": False,
    "params": {},
    "provenance": {},
    "varied": (),
}
_FROM_CONFIG = frozenset(("label", "setting", *_UNDESCRIBED))
_ALWAYS = ("role", "trial_key", "state", "reused_from")
_IF_ASKED = ("submission", "kind", "uncertified", "error")
_MISSING = object()
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


class Asked(NamedTuple):
    """What a question names.

    Attributes:
        fixed: columns that every store has, by the names of `TrialRow`'s attributes.
        params: config fields, nested ones by their path.
        metrics: names of metrics.
        inputs: whether it may name digests of inputs.
    """

    fixed: Collection[str]
    params: Sequence[str] = ()
    metrics: Collection[str] = ()
    inputs: bool = False


class Names(NamedTuple):
    """Names that a table may have as columns: config fields and metrics."""

    params: list[str]
    metrics: list[str]


def column_names(database: Database) -> Names:
    """Names of params and metrics.

    A name that no active trial has is left out where it would give a column of a trial another
    name, because it occurs as param and as metric.
    """
    params, metrics = (
        [name for (name,) in database.select(_KEYS.format(table=table))]
        for table in ("params", "latest_metrics")
    )
    metrics = [name for name in metrics if not is_copy(name)]
    both = {n.casefold() for n in params} & {n.casefold() for n in metrics}
    kept = (
        [
            name
            for name in names
            if name.casefold() not in both
            or database.select(_IS_OF_A_TRIAL.format(table=table), [name])
        ]
        for names, table in ((params, "params"), (metrics, "latest_metrics"))
    )
    return Names(*kept)


def read_columns(database: Database, asked: Asked, *, sweeps: Sequence[str] = ()) -> TrialTable:
    """What a question names, of all trials or of those of some sweeps; oldest run first.

    A metric that no trial has is left out.

    Raises:
        UserError: the record or the state of a trial is damaged.
    """
    with without_collector():
        return _Reading(database, asked, sweeps).table()


@contextmanager
def without_collector() -> Iterator[None]:
    """Pause Python's cycle collector, which costs as much as the reading itself."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Reading:
    """One reading of a store; `table` does the work.

    The tags of all runs come in one pass over their table: a search for each key would visit the
    page of each run once per key.
    """

    def __init__(self, database: Database, asked: Asked, sweeps: Sequence[str]) -> None:
        self._database, self._asked = database, asked
        self._runs = active_runs(database, sweeps)
        self._ids = [run.run_id for run in self._runs]
        self._place = {run_id: at for at, run_id in enumerate(self._ids)}
        self._is_part = bool(sweeps)
        self._config_columns = _FROM_CONFIG & set(asked.fixed)
        self._tags: dict[str, list[str]] = {}
        self._has_setting: set[int] = set()
        self._found: set[str] = set()  # params that occur
        self._names_at: dict[str, int] = {"": 0}
        self._group = np.zeros(len(self._ids), dtype=np.intp)

    def table(self) -> TrialTable:
        """Everything that was asked for."""
        asked, n_runs = self._asked, len(self._ids)
        if self._config_columns & {"label", "setting"}:  # made from these and the record
            self._read_tags(["kind", "trial_key", "setting"])
        fixed: dict[str, list[Any]] = {
            "run_id": self._ids,
            "sweep": [run.sweep for run in self._runs],
            "started_ms": [run.started_ms for run in self._runs],
        }
        if "label" in asked.fixed:
            fixed["label"] = [run.name for run in self._runs]
        if "setting" in asked.fixed:
            settings = self._tags.pop("setting")
            self._has_setting = {at for at, stored in enumerate(settings) if stored}
            pairs = zip(settings, self._tags["kind"], strict=True)
            fixed["setting"] = [stored or setting_hash(kind, 0, {}, {}) for stored, kind in pairs]
        fixed |= {n: [value] * n_runs for n, value in _UNDESCRIBED.items() if n in asked.fixed}
        table = TrialTable(fixed, {name: [None] * n_runs for name in asked.params}, {}, {}, [], {})
        wanted = [*_ALWAYS, *(name for name in _IF_ASKED if name in asked.fixed)]
        self._read_tags([name for name in wanted if name not in self._tags], table)
        roles = self._tags.pop("role")
        table.places.extend(at for at, role in enumerate(roles) if role == "trial")
        fixed |= {"key": self._tags.pop("trial_key"), "state": self._states(table.places)}
        fixed |= self._tags
        starts = zip(self._runs, fixed["started_ms"], strict=True)
        fixed["duration_s"] = [max(0, run.ended_ms - start) / 1000 for run, start in starts]
        for name in set(table.params) - self._found:
            del table.params[name]
        held = HeldMetrics(list(self._names_at), self._group)
        fixed["ended_ms"] = [run.ended_ms for run in self._runs]
        trials = {self._ids[at]: at for at in table.places}
        metrics, occurs = read_metrics(self._select, asked.metrics, trials, held)
        table.metrics.update(metrics)
        table.occurs.update(occurs)
        return table

    def _select(
        self, columns: str, table: str, keys: Sequence[str], *, whole: bool
    ) -> Iterator[tuple[Any, ...]]:
        """Rows of these keys, of the runs that are read; `whole` passes over the whole table."""
        source = self._database.passed_over(table) if whole and not self._is_part else table
        query = f"SELECT {columns} FROM {source} WHERE key IN ({', '.join('?' * len(keys))})"
        if self._is_part:
            return self._database.select_in(f"{query} AND run_uuid IN", self._ids, keys)
        return self._database.stream(query, keys)

    def _read_tags(self, names: Sequence[str], table: TrialTable | None = None) -> None:
        """Read tags into columns; with a table, fill in what records hold in passing."""
        columns = {name: [""] * len(self._ids) for name in names}
        self._tags |= columns
        place, has_new = self._place, bytearray(len(self._ids))
        parts: dict[str, dict[str, str]] = defaultdict(dict)
        keys = [*names, *(RECORD_TAGS if table else ())]
        for run_id, key, value in self._select("run_uuid, key, value", "tags", keys, whole=True):
            if (at := place.get(run_id)) is None or not value:
                continue
            if (column := columns.get(key)) is not None:
                column[at] = value
            elif table and is_whole_record(key, value):
                is_new = key == NEW_RECORD_TAG
                if is_new or not has_new[at]:
                    has_new[at] |= is_new
                    self._read_record(table, at, value)
            else:
                parts[run_id][key] = value
        for run_id, tags in parts.items():
            if table:
                self._read_record(table, place[run_id], record_text(tags))

    def _read_record(self, table: TrialTable, at: int, text: str) -> None:
        parts = RecordParts(self._ids[at], text)
        if parts.started_ms:
            table.fixed["started_ms"][at] = parts.started_ms
        self._group[at] = self._names_at.setdefault(parts.names, len(self._names_at))
        if not (self._config_columns or table.params or self._asked.inputs):
            return
        declared = parts.declared
        config, digests = declared["config"], declared["input_digests"]
        for name, column in table.params.items():
            if (value := _field(config, name)) is not _MISSING:
                column[at] = value
                self._found.add(name)
        for name, digest in digests.items() if self._asked.inputs else ():
            if name not in table.inputs:
                table.inputs[name] = [None] * len(self._ids)
            table.inputs[name][at] = digest
        for name in self._config_columns:
            if name == "params":
                table.fixed[name][at] = flat_params(config)
            elif name == "provenance":
                table.fixed[name][at] = {INPUT + name: digest for name, digest in digests.items()}
            elif name == "varied":
                table.fixed[name][at] = tuple(declared[name])
            elif name in _UNDESCRIBED:
                table.fixed[name][at] = declared[name]
            elif name == "label" and config:
                kind, key = self._tags["kind"][at], self._tags["trial_key"][at]
                table.fixed[name][at] = trial_label(kind, key, config, declared["varied"])
            elif name == "setting" and at not in self._has_setting:
                kind, version = self._tags["kind"][at], declared["kind_version"]
                hashed = setting_hash(kind, version, flat_params(config), digests)
                table.fixed[name][at] = hashed

    def _states(self, places: Sequence[int]) -> list[TrialState | str]:
        texts: list[TrialState | str] = [*self._tags.pop("state")]
        known = {"": TrialState.RUNNING, **{state.value: state for state in TrialState}}
        for at in places:
            if (state := known.get(texts[at])) is None:
                raise UserError(
                    f"the state of run '{self._ids[at]}' cannot be read: {texts[at]}",
                    hint="'sweeper fsck --repair' restores it from the journal",
                )
            texts[at] = state
        return texts


def _field(config: Mapping[str, Any], name: str) -> Any:
    """A field as in `flat_params`; `_MISSING` if the config does not have it."""
    value = config.get(name, _MISSING)
    if type(value) in _SCALARS:
        return value
    if value is _MISSING or isinstance(value, Mapping):
        return flat_params(config).get(name, _MISSING) if "." in name else _MISSING
    return str(value)
