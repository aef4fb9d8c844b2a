"""Columns of trials as a pandas frame: their names and types."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sweeper.records import TrialRow, TrialState
from sweeper.store.sql.table import TrialTable
from sweeper.store.versions import in_order

TEXT_COLUMNS = ("run_id", "sweep", "submission", "kind", "key", "state", "label", "setting")
FIXED_COLUMNS = (
    *TEXT_COLUMNS,
    "kind_version",
    "certified",
    "is_control",
    "reused_from",
    "started_at",
    "duration_s",
    "error",
)
_TYPES: dict[str, Any] = {"kind_version": "Int64", "is_control": "boolean", "duration_s": "float64"}
ATTRIBUTES = (
    *(name for name in FIXED_COLUMNS if name not in ("certified", "started_at")),
    "uncertified",
    "started_ms",
)
MEMBER_COLUMNS = ("sweep", "key", "run_id", "reused_from")


def trials_frame(rows: Sequence[TrialRow]) -> pd.DataFrame:
    """One row per trial: the fixed columns, then one column per param, input and metric.

    Trials with the same `setting` are replicates that differ only in the seed, so `group by
    setting` gives means over seeds. The digest of an input `source` is in the column
    `input_source`. Params are typed by their values: boolean, Int64, float64, or text if types mix
    or an integer would lose its value. Metrics are float64, NaN if missing. A param with the name
    of a metric or a fixed column is called `param_<name>`, a metric `metric_<name>`. Rows are
    ordered by sweep, start and key.
    """
    table = table_of(sorted(rows, key=in_order))
    held = (table.params, table.inputs, table.metrics)
    return frame_of(table, ColumnNames.of(*(sorted(names) for names in held)), FIXED_COLUMNS)


def table_of(rows: Sequence[TrialRow]) -> TrialTable:
    """Rows as columns."""
    params = {name for row in rows for name in row.params}
    inputs = {name for row in rows for name in row.inputs}
    metrics = {name for row in rows for name in row.metrics}
    return TrialTable(
        {name: [getattr(row, name) for row in rows] for name in ATTRIBUTES},
        {name: [row.params.get(name) for row in rows] for name in params},
        {name: [row.inputs.get(name) for row in rows] for name in inputs},
        {
            name: np.array([row.metrics.get(name, math.nan) for row in rows], dtype=np.float64)
            for name in metrics
        },
        list(range(len(rows))),
        {},
    )


class ColumnNames(NamedTuple):
    """The column of each param, input and metric, by name."""

    params: dict[str, str]
    inputs: dict[str, str]
    metrics: dict[str, str]

    @classmethod
    def of(
        cls, params: Sequence[str], inputs: Sequence[str], metrics: Sequence[str]
    ) -> ColumnNames:
        """Names as `trials_frame` describes them."""
        taken = list(FIXED_COLUMNS)
        found = cls({}, {}, {})
        for name in params:
            found.params[name] = _free_name(name, "param_", metrics, taken)
            taken.append(found.params[name])
        for name in inputs:
            found.inputs[name] = _free_name(f"input_{name}", "digest_", metrics, taken)
            taken.append(found.inputs[name])
        for name in metrics:
            found.metrics[name] = _free_name(name, "metric_", params, taken)
            taken.append(found.metrics[name])
        return found


def frame_of(table: TrialTable, names: ColumnNames, fixed: Collection[str]) -> pd.DataFrame:
    """The named columns of a table, of the fixed ones only some."""
    columns: dict[str, Any] = {
        name: _fixed_column(name, table) for name in FIXED_COLUMNS if name in fixed
    }
    for name, column in names.params.items():
        columns[column] = _typed(table.params[name])
    for name, column in names.inputs.items():
        columns[column] = _text(table.inputs[name])
    for name, column in names.metrics.items():
        columns[column] = pd.array(table.metrics[name], dtype="float64")
    return pd.DataFrame(columns)


def _fixed_column(name: str, table: TrialTable) -> Any:
    if name == "certified":
        pairs = zip(table.fixed["state"], table.fixed["uncertified"], strict=True)
        complete = TrialState.COMPLETE
        return pd.array([not why if s is complete else None for s, why in pairs], dtype="boolean")
    if name == "started_at":
        starts = [float(start or "nan") for start in table.fixed["started_ms"]]
        return pd.to_datetime(starts, unit="ms", utc=True)
    values = table.fixed[name]
    if name in _TYPES:
        return pd.array(values, dtype=_TYPES[name])
    return _text(values if name in TEXT_COLUMNS else [value or None for value in values])


def members_frame(table: TrialTable) -> pd.DataFrame:
    """Which sweep has which trial: `sweep`, `key`, `run_id`, `reused_from`."""
    columns = table.sorted().fixed
    return pd.DataFrame(
        {name: _text([value or None for value in columns[name]]) for name in MEMBER_COLUMNS}
    )


def _typed(values: Sequence[Any]) -> Any:
    types = {type(value) for value in values if value is not None}
    if types == {bool}:
        return pd.array(values, dtype="boolean")
    if types == {int} and all(v is None or abs(int(v)) < 2**63 for v in values):
        return pd.array(values, dtype="Int64")
    # float64 only if every integer keeps its value; otherwise text, which is exact.
    if types in ({float}, {int, float}) and all(float(v) == v for v in values if type(v) is int):
        return pd.array([float("nan") if v is None else float(v) for v in values], dtype="float64")
    return _text([None if value is None else str(value) for value in values])


def _text(values: Sequence[str | None]) -> Any:
    return pd.array(values, dtype="str")


def _free_name(name: str, prefix: str, others: Iterable[str], taken: Iterable[str]) -> str:
    """A column name that is not taken. SQL names are case-insensitive, so it folds case."""
    used = {other.casefold() for other in taken}
    if name.casefold() in used or name.casefold() in {other.casefold() for other in others}:
        name = prefix + name
    while name.casefold() in used:
        name += "_"
    return name
