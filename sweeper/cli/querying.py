"""The command query."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sweeper.cli.options import ALL_COLUMNS, COLUMNS, STORE
from sweeper.cli.stored import installed_kinds, open_reader
from sweeper.report.frames import chosen_columns, frame_bytes
from sweeper.store import selection
from sweeper.store.query_text import is_filter
from sweeper.store.sql import SqlReader
from trials import kind_names
from trials.api import TrialKind

if TYPE_CHECKING:
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

    table('NAME', CONDITION ON TRIALS) is the table or arrays that trials left as NAME.csv, .parquet
    or .safetensors, with their run_id: "select label, atom from trials join table('atoms', sweep =
    'pursuit') using (run_id) where top_tokens like '%king%'".
    """
    reader = open_reader(store)
    answer = selection.answer(reader, text)
    if columns:
        answer = chosen_columns(answer, columns)
    keyed = is_filter(text) and not columns and not every
    data = frame_bytes(answer, form, kinds=_kinds(reader) if keyed else None)
    if output is not None:
        output.write_bytes(data)
    else:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def _kinds(reader: Reader) -> dict[str, TrialKind]:
    """The installed kinds that may have trials in the store."""
    return installed_kinds(reader.kind_names() if isinstance(reader, SqlReader) else kind_names())
