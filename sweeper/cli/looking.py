"""Commands that show the trials of the store: ls, show, diff."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import click

from sweeper.cli.options import AS_JSON, COLUMNS, STORE, SWEEPS
from sweeper.cli.stored import kinds_of, open_reader, open_tracking
from sweeper.report.diff import compare, diff_json, diff_page
from sweeper.report.listing import json_parts, trial_json, trial_page, trials_table
from sweeper.report.lookup import known, named_trial

if TYPE_CHECKING:
    import pandas as pd

    from sweeper.records import TrialRow
    from sweeper.store.opening import Reader

T = TypeVar("T", "list[str]", "pd.DataFrame")

_NEWEST = 50
_EVERY_COLUMN = "*"


@click.command()
@SWEEPS
@STORE
@click.option("--where", default="", metavar="SQL", help="A condition, such as 'fvu < 0.5'.")
@click.option("--sort", default="", metavar="COLUMN", help="Sort by it; 'COLUMN desc' is falling.")
@COLUMNS
@click.option("--limit", type=click.IntRange(1), help="How many trials at most.")
@click.option("--all", "every", is_flag=True, help="Every trial, not only the newest 50.")
@AS_JSON
def ls(
    sweeps: Sequence[str],
    store: str | None,
    where: str,
    sort: str,
    columns: str | None,
    limit: int | None,
    every: bool,
    as_json: bool,
) -> None:
    """List trials: the newest 50, or the first 50 by --sort.

    --columns '*' shows every column. JSON holds all trials unless --limit says how many.
    """
    reader = open_reader(store)
    asked = _Listing(known(sweeps, reader), where, sort, limit)
    if limit is None and not every and not as_json:
        asked = asked._replace(limit=_NEWEST)
    if columns:
        click.echo(_columns(reader, asked, columns, "json" if as_json else "table"), nl=False)
        return
    rows, n_all = _trials(reader, asked)
    if as_json:
        for text in json_parts(rows):
            click.echo(text, nl=False)
        return
    listed = list(rows)
    click.echo(trials_table(listed, kinds_of(listed)))
    if n_all is None or len(listed) < n_all:
        of_all = f"of {n_all:,} trials" if n_all else "trials of more"
        click.echo(f"{len(listed):,} {of_all}; --all lists all", err=True)


class _Listing(NamedTuple):
    sweeps: Sequence[str]
    where: str
    sort: str
    limit: int | None

    def first(self, found: T) -> T:
        """What the limit leaves: the first in the order asked for, or the newest."""
        if self.limit is None:
            return found
        return found[: self.limit] if self.sort else found[-self.limit :]


def _trials(reader: Reader, asked: _Listing) -> tuple[Iterable[TrialRow], int | None]:
    """The trials to list, and how many there are without the limit.

    0 if there is no limit, None if there are more than a server counts.
    """
    if asked.where or asked.sort:
        from sweeper.store.selection import run_ids_where  # pandas is slow to import

        found = run_ids_where(reader, asked.sweeps, asked.where, asked.sort)
        return reader.of_runs(asked.first(found)), len(found)
    if asked.limit is None:
        return reader.stream(asked.sweeps), 0
    return reader.newest(asked.limit, asked.sweeps)


def _columns(reader: Reader, asked: _Listing, columns: str, form: str) -> bytes:
    from sweeper.report.frames import chosen_columns, frame_bytes  # pandas is slow to import
    from sweeper.store.selection import selected

    names = [name.strip() for name in columns.split(",") if name.strip()]
    every = names == [_EVERY_COLUMN]
    frame = selected(reader, asked.sweeps, asked.where, asked.sort, None if every else names)
    shown = asked.first(frame)
    return frame_bytes(shown if every else chosen_columns(shown, columns), form)


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
