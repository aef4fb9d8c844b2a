"""One typed table over all sweeps, and SQL queries on it."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]

from sweeper.errors import UserError, nearest, one_line
from sweeper.records import TrialRow, TrialState
from sweeper.store.query_text import BARE_NULL, is_filter, named_in
from sweeper.store.sql.columns import TrialCells, column_names, read_columns
from sweeper.store.sql.database import Database
from sweeper.store.versions import in_order, one_per_key

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
MEMBER_COLUMNS = ("sweep", "key", "run_id", "reused_from")

# No access from a query to files, extensions or the caller's Python variables.
SANDBOX: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
}
UNKNOWN_COLUMN = r'(?:Referenced|does not have a) column (?:named )?"(.*?)"'


def trials_frame(rows: Sequence[TrialRow]) -> pd.DataFrame:
    """One row per trial: the fixed columns, then one column per param, input and metric.

    Trials with the same `setting` are replicates that differ only in the seed, so `group by
    setting` gives means over seeds. The digest of an input `source` is in the column
    `input_source`. Params are typed by their values: boolean, Int64, float64, or text if types mix
    or an integer would lose its value. Metrics are float64, NaN if missing. A param with the name
    of a metric or a fixed column is called `param_<name>`, a metric `metric_<name>`. Rows are
    ordered by sweep, start and key.
    """
    rows = sorted(rows, key=in_order)
    params = sorted({name for row in rows for name in row.params})
    names = sorted({name for row in rows for name in row.metrics})
    metrics = {
        name: np.array([row.metrics.get(name, math.nan) for row in rows], dtype=np.float64)
        for name in names
    }
    inputs = sorted({name for row in rows for name in row.inputs})
    return _frame(rows, ColumnNames.of(params, inputs, names), FIXED_COLUMNS, metrics)


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


def _frame(
    rows: Sequence[TrialRow] | Sequence[TrialCells],
    names: ColumnNames,
    fixed: Collection[str],
    metrics: Mapping[str, np.ndarray],
) -> pd.DataFrame:
    """The named columns of rows, of the fixed ones only some; `metrics` has a value per row."""
    columns: dict[str, Any] = {}
    for name in FIXED_COLUMNS:
        if name in fixed:
            columns[name] = _fixed_column(name, rows)
    for name, column in names.params.items():
        columns[column] = _typed([row.params.get(name) for row in rows])
    for name, column in names.inputs.items():
        columns[column] = _text(row.inputs.get(name) for row in rows)
    for name, column in names.metrics.items():
        columns[column] = pd.array(metrics[name], dtype="float64")
    return pd.DataFrame(columns)


def _fixed_column(name: str, rows: Sequence[TrialRow] | Sequence[TrialCells]) -> Any:
    if name in TEXT_COLUMNS:
        return _text(getattr(row, name) for row in rows)
    if name == "kind_version":
        return pd.array([row.kind_version for row in rows], dtype="Int64")
    if name == "certified":
        return pd.array([_certified(row) for row in rows], dtype="boolean")
    if name == "is_control":
        return pd.array([row.is_control for row in rows], dtype="boolean")
    if name == "started_at":
        starts = [float(row.started_ms or "nan") for row in rows]
        return pd.to_datetime(starts, unit="ms", utc=True)
    if name == "duration_s":
        return pd.array([row.duration_s for row in rows], dtype="float64")
    return _text(getattr(row, name) or None for row in rows)


def members_frame(rows: Sequence[TrialRow] | Sequence[TrialCells]) -> pd.DataFrame:
    """Which sweep has which trial: `sweep`, `key`, `run_id`, `reused_from`."""
    ordered = sorted(rows, key=in_order)
    return pd.DataFrame(
        {name: _text(getattr(r, name) or None for r in ordered) for name in MEMBER_COLUMNS}
    )


def query(rows: Sequence[TrialRow], text: str) -> pd.DataFrame:
    """The result of SQL or a filter such as `fvu < 0.5 and n_atoms = '2x' order by fvu limit 5`.

    The table `trials` is `trials_frame` with each trial once, under the sweep that ran it. The
    table `members` maps every sweep to its trials (`sweep`, `key`, `run_id`, `reused_from`): use
    `trials join members using (key)` to include reused trials. NaN is NULL.

    Raises:
        UserError: the text is not a single SELECT, names an unknown column or accesses files. Or
            nothing matches, and a value that it compares with exists in another case.
    """
    frame = trials_frame(one_per_key(rows))
    return _answer(text, frame, members_frame(rows), frame.columns)


def query_database(database: Database, text: str) -> pd.DataFrame:
    """`query` on all trials of a database, of which only the columns are read that `text` names.

    Raises UserError as `query`, or if the record of a trial is damaged.
    """
    known = column_names(database)
    named = ColumnNames.of(known.params, (), known.metrics)
    wanted = named_in(text, [*named.params.values(), *named.metrics.values(), *FIXED_COLUMNS])
    metrics = [name for name, column in named.metrics.items() if column in wanted]
    read = read_columns(database, metrics)
    rows = one_per_key(read.trials)
    place = {id(trial): at for at, trial in enumerate(read.trials)}
    order = np.array([place[id(row)] for row in rows], dtype=np.intp)
    inputs = sorted({name for row in rows for name in row.inputs})
    names = ColumnNames.of(known.params, inputs, known.metrics)
    shown = ColumnNames(
        {name: column for name, column in names.params.items() if named.params[name] in wanted},
        names.inputs,
        {name: names.metrics[name] for name in read.metrics},
    )
    fixed = [name for name in FIXED_COLUMNS if name in wanted or name in MEMBER_COLUMNS]
    values = {name: column[order] for name, column in read.metrics.items()}
    frame = _frame(rows, shown, fixed, values)
    every = (*FIXED_COLUMNS, *named.params.values(), *named.metrics.values())
    return _answer(text, frame, members_frame(read.trials), every)


def _answer(
    text: str, trials: pd.DataFrame, members: pd.DataFrame, columns: Iterable[str]
) -> pd.DataFrame:
    """The result of a query on two frames; `columns` are those that `trials` could have."""
    with duckdb.connect(":memory:", config=SANDBOX) as database:
        database.execute("SET TimeZone = 'UTC'")
        for name, frame in (("trials", trials), ("members", members)):
            database.register("incoming", frame)
            database.execute(f"CREATE TABLE {name} AS SELECT * FROM incoming")
            database.unregister("incoming")
        database.execute("SET lock_configuration = true")
        try:
            answer = _to_pandas(database.sql(_single_select(database, text)).to_arrow_table())
        except duckdb.Error as error:
            raise _explained(error, text, (*columns, *MEMBER_COLUMNS)) from error
    if answer.empty:
        _refuse_wrong_case(text, trials)
    return answer


def _refuse_wrong_case(text: str, trials: pd.DataFrame) -> None:
    """Raise UserError if a query without results compares with `complete` for `COMPLETE`."""
    texts = [column for _, column in trials.items() if column.dtype == "str"]
    values = {str(value) for column in texts for value in column.dropna().unique()}
    by_folded = {value.casefold(): value for value in values}
    for quoted in re.findall(r"'((?:[^']|'')*)'", text):
        asked = quoted.replace("''", "'")
        if asked not in values and asked.casefold() in by_folded:
            raise UserError(
                f"no trial has '{asked}'; comparisons are case-sensitive",
                where="query",
                hint=f"did you mean '{by_folded[asked.casefold()]}'?",
            )


def _single_select(database: duckdb.DuckDBPyConnection, text: str) -> str:
    text = text.strip().rstrip(";")
    if is_filter(text):
        text = f"SELECT * FROM trials WHERE {text}" if text else "SELECT * FROM trials"
    statements = database.extract_statements(text)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise UserError("only one SELECT or one filter expression is allowed", where="query")
    if BARE_NULL.search(re.sub(r"'[^']*'|\"[^\"]*\"", "''", text)):
        raise UserError(
            "null means no value in SQL and never equals a text",
            where="query",
            hint='the column is written "null", in double quotes',
        )
    return text


def _explained(error: duckdb.Error, text: str, columns: Sequence[str]) -> UserError:
    """DuckDB's message in one line, with the nearest column or table."""
    message, _, _ = str(error).partition("\n\nLINE ")
    what = one_line(message.partition("\n")[0])
    hint = one_line(message.partition("\n")[2])
    if match := re.search(UNKNOWN_COLUMN, message):
        what, hint = f"unknown column '{match[1]}'", nearest(match[1], sorted(set(columns)))
        if f'"{match[1]}"' in text and not hint.startswith("did you mean"):
            hint = f"a text value takes single quotes: '{match[1]}'"
    elif match := re.search(r"Table with name (.*?) does not exist", message):
        what, hint = f"unknown table '{match[1]}'", nearest(match[1], ("trials", "members"))
    return UserError(what, where="query", hint=hint)


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    """Keep integers as integers if some are missing, and make column names unique."""
    names: list[str] = []
    for position, field in enumerate(table.schema):
        if pa.types.is_decimal(field.type):  # what DuckDB makes of sum(integer)
            target = pa.int64() if _fits_int64(table.column(position)) else pa.float64()
            table = table.set_column(position, field.name, table.column(position).cast(target))
        n_before = table.column_names[:position].count(field.name)
        names.append(f"{field.name}_{n_before}" if n_before else field.name)
    nullable = {pa.bool_(): pd.BooleanDtype(), pa.int32(): pd.Int64Dtype()}
    nullable[pa.int64()] = pd.Int64Dtype()
    return table.rename_columns(names).to_pandas(types_mapper=nullable.get)


def _fits_int64(column: pa.ChunkedArray) -> bool:
    return column.type.scale == 0 and all(
        value is None or abs(value) < 2**63 for value in column.to_pylist()
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
    return _text(None if value is None else str(value) for value in values)


def _text(values: Iterable[str | None]) -> Any:
    return pd.array(list(values), dtype="str")


def _free_name(name: str, prefix: str, others: Iterable[str], taken: Iterable[str]) -> str:
    """A column name that is not taken. SQL names are case-insensitive, so it folds case."""
    used = {other.casefold() for other in taken}
    if name.casefold() in used or name.casefold() in {other.casefold() for other in others}:
        name = prefix + name
    while name.casefold() in used:
        name += "_"
    return name


def _certified(row: TrialRow | TrialCells) -> bool | None:
    return not row.uncertified if row.state is TrialState.COMPLETE else None
