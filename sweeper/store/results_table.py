"""One typed table over all sweeps, and SQL queries on it."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]

from sweeper.errors import UserError, nearest, one_line
from sweeper.records import TrialRow, TrialState
from sweeper.store.query_text import BARE_NULL, is_filter, named_in, names_inputs
from sweeper.store.sql.columns import Asked, column_names, read_columns
from sweeper.store.sql.database import Database
from sweeper.store.sql.table import TrialTable
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
_TYPES: dict[str, Any] = {"kind_version": "Int64", "is_control": "boolean", "duration_s": "float64"}
ATTRIBUTES = (
    *(name for name in FIXED_COLUMNS if name not in ("certified", "started_at")),
    "uncertified",
    "started_ms",
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
    table = _table(sorted(rows, key=in_order))
    held = (table.params, table.inputs, table.metrics)
    return _frame(table, ColumnNames.of(*(sorted(names) for names in held)), FIXED_COLUMNS)


def _table(rows: Sequence[TrialRow]) -> TrialTable:
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


def _frame(table: TrialTable, names: ColumnNames, fixed: Collection[str]) -> pd.DataFrame:
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
    return _answer(text, frame, members_frame(_table(rows)), frame.columns)


def query_database(database: Database, text: str) -> pd.DataFrame:
    """`query` on all trials of a database, of which only the columns are read that `text` names.

    Raises UserError as `query`, or if the record of a trial is damaged.
    """
    known = column_names(database)
    named = ColumnNames.of(known.params, (), known.metrics)
    wanted = named_in(text, [*named.params.values(), *named.metrics.values(), *FIXED_COLUMNS])
    fixed = [name for name in FIXED_COLUMNS if name in wanted or name in MEMBER_COLUMNS]
    asked = Asked(
        {*fixed, *(("uncertified",) if "certified" in fixed else ())},
        [name for name, column in named.params.items() if column in wanted],
        [name for name, column in named.metrics.items() if column in wanted],
        names_inputs(text),
    )
    every = read_columns(database, asked)
    table = every.one_per_key()
    names = ColumnNames.of(known.params, sorted(table.inputs), known.metrics)
    held: tuple[Collection[str], ...] = (table.params, table.inputs, table.metrics)
    shown = ColumnNames(
        *({n: part[n] for n in part if n in has} for part, has in zip(names, held, strict=True))
    )
    columns = (*FIXED_COLUMNS, *named.params.values(), *named.metrics.values())
    needs_members = re.search(r"\bmembers\b", text, re.IGNORECASE)
    members = members_frame(every if needs_members else _table([]))
    return _answer(text, _frame(table, shown, fixed), members, columns)


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
