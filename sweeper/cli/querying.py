"""The command query."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sweeper.cli.options import ALL_COLUMNS, COLUMNS, STORE
from sweeper.cli.stored import installed_kinds, kinds_of, open_reader
from sweeper.report.frames import chosen_columns, frame_bytes
from sweeper.store import results_table
from sweeper.store.query_text import is_filter
from sweeper.store.sql import SqlReader
from sweeper.store.sql.database import open_database
from trials.api import TrialKind

if TYPE_CHECKING:
    import pandas as pd

    from sweeper.store.opening import Reader


@click.command()
@click.argument("text", metavar="SQL|FILTER")
@STORE
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json", "parquet"]), default="table"
)
@COLUMNS
@ALL_COLUMNS
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="A file.")
def query(
    text: str,
    store: str | None,
    form: str,
    columns: str | None,
    every: bool,
    output: Path | None,
) -> None:
    """Ask one typed table over all sweeps: SQL on `trials`, or a condition such as 'l0 < 20'.

    A condition shows the columns that say most of a trial; the files of other formats have all.

    Replicates share a `setting` (kind, kind_version, config without seed, and the digests of what
    was read: input_source and the like): 'select setting, avg(fvu) from trials group by setting'.
    Grouped by config fields alone, trials of a replaced input or an earlier version are averaged.
    """
    reader = open_reader(store)
    answer, kinds = _answer(reader, text)
    if columns:
        answer = chosen_columns(answer, columns)
    keyed = is_filter(text) and not columns and not every
    data = frame_bytes(answer, form, kinds=kinds if keyed else None)
    if output is not None:
        output.write_bytes(data)
    else:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def _answer(reader: Reader, text: str) -> tuple[pd.DataFrame, dict[str, TrialKind]]:
    """The answer to a query, and the installed kinds of the trials that it is about."""
    if isinstance(reader, SqlReader):
        with open_database(reader.store) as database:
            answer = results_table.query_database(database, text)
        return answer, installed_kinds(reader.kind_names())
    rows = reader.rows()
    return results_table.query(rows, text), kinds_of(rows)
