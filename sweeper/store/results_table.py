"""One typed table over all sweeps, and SQL queries on it."""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Iterable, Sequence

import duckdb
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]

from sweeper.errors import UserError, nearest, one_line
from sweeper.records import TrialRow
from sweeper.store.query_text import BARE_NULL, is_filter, named_in, names_inputs
from sweeper.store.sql.columns import Asked, column_names, read_columns
from sweeper.store.sql.database import Database
from sweeper.store.sql.frame import (
    FIXED_COLUMNS,
    MEMBER_COLUMNS,
    ColumnNames,
    frame_of,
    members_frame,
    table_of,
    trials_frame,
)
from sweeper.store.tables.calls import TableCall, without_calls
from sweeper.store.tables.relations import TableSource, read_relation
from sweeper.store.versions import one_per_key

_LIMIT_S = 300.0
# No access from a query to files, extensions or the caller's Python variables.
SANDBOX: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "memory_limit": "2GB",
    "temp_directory": "",  # what does not fit is refused and never written to a disk
}
UNKNOWN_COLUMN = r'(?:Referenced|does not have a) column (?:named )?"(.*?)"'


def query(
    rows: Sequence[TrialRow], text: str, *, once: bool = True, tables: TableSource | None = None
) -> pd.DataFrame:
    """The result of SQL or a filter such as `fvu < 0.5 and n_atoms = '2x' order by fvu limit 5`.

    The table `trials` is `trials_frame` with each trial once, under the sweep that ran it. The
    table `members` maps every sweep to its trials (`sweep`, `key`, `run_id`, `reused_from`): use
    `trials join members using (key)` to include reused trials. NaN is NULL. Unless `once`, a trial
    that was reused is a row in each sweep that has it. `table('atoms', CONDITION)` is the table
    that trials left under that name, of those of `trials` for which the condition holds; its
    column `run_id` joins the two.

    Raises:
        UserError: the text is not a single SELECT, names an unknown column or accesses files. Or
            nothing matches, and a value that it compares with exists in another case.
    """
    frame = trials_frame(one_per_key(rows) if once else rows)
    return _answer(text, frame, members_frame(table_of(rows)), frame.columns, tables)


def query_database(
    database: Database,
    text: str,
    *,
    sweeps: Sequence[str] = (),
    once: bool = True,
    tables: TableSource | None = None,
) -> pd.DataFrame:
    """`query` on all trials of a database, of which only the columns are read that `text` names.

    With `sweeps`, `trials` has those of these sweeps only.

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
    every = read_columns(database, asked, sweeps=sweeps)
    table = every.one_per_key() if once else every.sorted()
    names = ColumnNames.of(known.params, sorted(table.inputs), known.metrics)
    held: tuple[Collection[str], ...] = (table.params, table.inputs, table.metrics)
    shown = ColumnNames(
        *({n: part[n] for n in part if n in has} for part, has in zip(names, held, strict=True))
    )
    columns = (*FIXED_COLUMNS, *named.params.values(), *named.metrics.values())
    needs_members = re.search(r"\bmembers\b", text, re.IGNORECASE)
    members = members_frame(every if needs_members else table_of([]))
    del every  # as large as the frame
    frame = frame_of(table, shown, fixed)
    del table, held
    return _answer(text, frame, members, columns, tables)


def _answer(
    text: str,
    trials: pd.DataFrame,
    members: pd.DataFrame,
    columns: Iterable[str],
    tables: TableSource | None,
) -> pd.DataFrame:
    """The result of a query on two frames; `columns` are those that `trials` could have."""
    text, calls = without_calls(text)
    with duckdb.connect(":memory:", config=SANDBOX) as database:
        database.execute("SET TimeZone = 'UTC'")
        for name, frame in (("trials", trials), ("members", members)):
            database.register("incoming", frame)
            database.execute(f"CREATE TABLE {name} AS SELECT * FROM incoming")
            database.unregister("incoming")
        database.execute("SET lock_configuration = true")
        for call in calls:
            _add_relation(database, call, tables, columns)
        clock = threading.Timer(_LIMIT_S, database.interrupt)
        clock.start()
        try:
            answer = _to_pandas(database.sql(_single_select(database, text)).to_arrow_table())
        except duckdb.InterruptException as error:
            raise UserError(f"took longer than {_LIMIT_S:g} s", where="query") from error
        except duckdb.Error as error:
            raise _explained(error, text, (*columns, *MEMBER_COLUMNS)) from error
        finally:
            clock.cancel()
    if answer.empty:
        _refuse_wrong_case(text, trials)
    return answer


def _add_relation(
    database: duckdb.DuckDBPyConnection,
    call: TableCall,
    source: TableSource | None,
    columns: Iterable[str],
) -> None:
    """Read the artifacts that a call means, and show them to the query under the call's name."""
    if source is None:
        raise UserError(f"table('{call.name}') cannot be read here", where="query")
    chosen = f"SELECT run_id FROM trials WHERE ({call.condition or 'true'}\n)"
    try:
        run_ids = database.sql(_single_select(database, chosen)).fetchall()
    except duckdb.Error as error:
        raise _explained(error, chosen, tuple(columns)) from error
    relation = read_relation(call.name, [run_id for (run_id,) in run_ids], source)
    database.register("incoming", relation)
    database.execute(f'CREATE TABLE "{call.relation}" AS SELECT * FROM incoming')
    database.unregister("incoming")


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
    table = table.rename_columns(names)
    return table.to_pandas(types_mapper=nullable.get, split_blocks=True, self_destruct=True)


def _fits_int64(column: pa.ChunkedArray) -> bool:
    return column.type.scale == 0 and all(
        value is None or abs(value) < 2**63 for value in column.to_pylist()
    )
