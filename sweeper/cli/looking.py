"""Commands that show the trials of the store: ls, show, query, diff."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sweeper.cli.options import ALL_COLUMNS, AS_JSON, COLUMNS, STORE, SWEEPS
from sweeper.cli.stored import (
    installed_kinds,
    kinds_of,
    open_reader,
    open_tracking,
    stored_rows,
)
from sweeper.report.diff import compare, diff_json, diff_page
from sweeper.report.frames import chosen_columns, frame_bytes
from sweeper.report.listing import trial_json, trial_page, trials_json, trials_table
from sweeper.report.lookup import named_trial
from sweeper.store import results_table
from sweeper.store.query_text import is_filter
from sweeper.store.sql import SqlReader
from sweeper.store.sql.database import open_database
from trials.api import TrialKind

if TYPE_CHECKING:
    import pandas as pd

    from sweeper.store.tracking import Results


@click.command()
@SWEEPS
@STORE
@COLUMNS
@ALL_COLUMNS
@AS_JSON
def ls(
    sweeps: Sequence[str], store: str | None, columns: str | None, every: bool, as_json: bool
) -> None:
    """List trials."""
    rows = stored_rows(store, sweeps)
    if as_json:
        click.echo(trials_json(rows))
    elif columns or every:
        frame = results_table.trials_frame(rows)
        click.echo(frame_bytes(chosen_columns(frame, columns) if columns else frame, "table"))
    else:
        click.echo(trials_table(rows, kinds_of(rows)))


@click.command()
@click.argument("trial")
@STORE
@AS_JSON
def show(trial: str, store: str | None, as_json: bool) -> None:
    """Show one trial, by run id or key (a unique beginning is enough), or SWEEP:FIELD=VALUE ...

    As in 'pursuit:n_atoms=2x null=none': as many fields as it takes to name one trial.
    """
    row = named_trial(open_reader(store), trial)
    kind = kinds_of([row]).get(row.kind)
    click.echo(trial_json(row, kind) if as_json else trial_page(row, kind))


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


def _answer(reader: Results | SqlReader, text: str) -> tuple[pd.DataFrame, dict[str, TrialKind]]:
    """The answer to a query, and the installed kinds of the trials that it is about."""
    if isinstance(reader, SqlReader):
        with open_database(reader.store) as database:
            answer = results_table.query_database(database, text)
        return answer, installed_kinds(reader.kind_names())
    rows = reader.rows()
    return results_table.query(rows, text), kinds_of(rows)


@click.command()
@click.argument("a")
@click.argument("b")
@STORE
@AS_JSON
def diff(a: str, b: str, store: str | None, as_json: bool) -> None:
    """Show what differs between two trials: config, code, environment, inputs, results."""
    results = open_tracking(store).results
    reader = open_reader(store)
    one, other = named_trial(reader, a), named_trial(reader, b)
    found = compare(one, other, results.fetch_artifact)
    click.echo(diff_json(found) if as_json else diff_page(found), nl=False)
