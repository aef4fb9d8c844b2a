"""Questions to a store: a query's answer, and which trials a listing shows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from sweeper.errors import UserError
from sweeper.store.opening import open_results
from sweeper.store.query_text import quoted_name
from sweeper.store.results_table import query, query_database
from sweeper.store.sql import SqlReader
from sweeper.store.sql.database import open_database
from sweeper.store.tables.relations import TableSource

if TYPE_CHECKING:
    import pandas as pd

    from sweeper.store.opening import Reader


def answer(reader: Reader, text: str) -> pd.DataFrame:
    """The answer to a query, of which `table('NAME')` may be a part; UserError as for `query`."""
    results = cache(lambda: open_results(reader.store))  # holds the copies that it downloads
    tables = TableSource(
        reader.of_runs, lambda run_id, path: results().fetch_artifact(run_id, path)
    )
    return _answered(reader, text, tables=tables)


def run_ids_where(reader: Reader, sweeps: Sequence[str], where: str, sort: str) -> list[str]:
    """Run ids of the trials for which `where` holds; see `selected`."""
    return [str(run_id) for run_id in selected(reader, sweeps, where, sort, ["run_id"])["run_id"]]


def selected(
    reader: Reader,
    sweeps: Sequence[str],
    where: str,
    sort: str,
    columns: Sequence[str] | None,
) -> pd.DataFrame:
    """Columns (None: all) of some trials, a row for each sweep that has the trial.

    `where` is a condition as `sweeper query` takes it, `sort` what SQL orders by: `fvu`,
    `n_atoms, fvu desc`. "" is every trial, by its start. No sweep named means all.

    Raises:
        UserError: `where`, `sort` or a column cannot be read, or the store cannot.
    """
    shown = "*" if columns is None else ", ".join(map(quoted_name, columns))
    text = f"SELECT {shown} FROM trials WHERE ({where or 'true'}\n)"
    text += f" ORDER BY {sort or 'started_at'}\n, run_id"
    try:
        return _answered(reader, text, sweeps=sweeps, once=False)
    except UserError as error:
        if error.where != "query":
            raise
        hint = "" if error.hint.startswith("a text value") else error.hint  # the quotes are ours
        raise UserError(error.what, where="ls", hint=hint) from error


def _answered(
    reader: Reader,
    text: str,
    *,
    sweeps: Sequence[str] = (),
    once: bool = True,
    tables: TableSource | None = None,
) -> pd.DataFrame:
    """What the database itself answers, or the rows that a server gives."""
    if isinstance(reader, SqlReader):
        with open_database(reader.store) as database:
            return query_database(database, text, sweeps=sweeps, once=once, tables=tables)
    return query(reader.rows(sweeps), text, once=once, tables=tables)
