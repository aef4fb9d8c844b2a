"""One typed table over all sweeps, and SQL queries on it.

Loads pandas and DuckDB, so only the commands that show the table import it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]

from sweeper.errors import UserError, nearest, one_line
from sweeper.records import TrialRow, TrialState
from sweeper.store.versions import one_per_key, row_order

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
# The column `null` without its quotes: in a comparison, or as an item of a list.
BARE_NULL = re.compile(
    r"(?<!\bis )(?<!\bnot )\bnull\s*(?:[=<>]|!=|(?:not\s+)?(?:in|i?like)\b)"
    r"|(?:\b(?:select|distinct|by)\b|,)\s*null\s*(?:,|$|\b(?:from|order|limit|having|asc|desc)\b)",
    re.IGNORECASE,
)
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
    rows = sorted(rows, key=row_order)
    columns: dict[str, Any] = {name: _text(getattr(r, name) for r in rows) for name in TEXT_COLUMNS}
    columns["kind_version"] = pd.array([r.kind_version for r in rows], dtype="Int64")
    columns["certified"] = pd.array([_certified(r) for r in rows], dtype="boolean")
    columns["is_control"] = pd.array([r.is_control for r in rows], dtype="boolean")
    columns["reused_from"] = _text(r.reused_from or None for r in rows)
    starts = [float(r.started_ms or "nan") for r in rows]
    columns["started_at"] = pd.to_datetime(starts, unit="ms", utc=True)
    columns["duration_s"] = pd.array([r.duration_s for r in rows], dtype="float64")
    columns["error"] = _text(r.error or None for r in rows)

    params = sorted({name for row in rows for name in row.params})
    metrics = sorted({name for row in rows for name in row.metrics})
    for name in params:
        column = _free_name(name, "param_", metrics, columns)
        columns[column] = _typed([row.params.get(name) for row in rows])
    inputs = [row.inputs for row in rows]
    for name in sorted({name for digests in inputs for name in digests}):
        column = _free_name(f"input_{name}", "digest_", metrics, columns)
        columns[column] = _text(digests.get(name) for digests in inputs)
    for name in metrics:
        column = _free_name(name, "metric_", params, columns)
        values = [row.metrics.get(name, float("nan")) for row in rows]
        columns[column] = pd.array(values, dtype="float64")
    return pd.DataFrame(columns)


def members_frame(rows: Sequence[TrialRow]) -> pd.DataFrame:
    """Which sweep has which trial: `sweep`, `key`, `run_id`, `reused_from`."""
    ordered = sorted(rows, key=row_order)
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
    trials, members = trials_frame(one_per_key(rows)), members_frame(rows)
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
            raise _explained(error, text, (*trials.columns, *MEMBER_COLUMNS)) from error
    if answer.empty:
        _refuse_wrong_case(text, trials)
    return answer


def is_filter(text: str) -> bool:
    """Whether a query is a filter on trials, not a full statement."""
    return not re.match(r"\s*(select|with)\b", text, re.IGNORECASE)


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


def _certified(row: TrialRow) -> bool | None:
    return not row.uncertified if row.state is TrialState.COMPLETE else None
