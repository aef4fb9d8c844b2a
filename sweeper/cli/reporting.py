"""The command `report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sweeper.api.reports import rate_fields
from sweeper.cli import options
from sweeper.cli.options import INPUTS, STORE, SWEEPS
from sweeper.cli.stored import kinds_of, open_reader, open_tracking
from sweeper.declare.loading import stored_search, stored_seeds
from sweeper.errors import UserError
from sweeper.records import TrialRow
from sweeper.report.html.page import ReportedSweep, write_report
from sweeper.report.lookup import known
from sweeper.store.versions import Inputs

if TYPE_CHECKING:
    from sweeper.store.tracking import Tracking


@click.command()
@SWEEPS
@STORE
@INPUTS
@options.output("report.html")
def report(sweeps: Sequence[str], store: str | None, inputs: Inputs, output: Path) -> None:
    """Write one self-contained HTML page on the named sweeps (default: all)."""
    tracking, reader = open_tracking(store), open_reader(store)
    names = known(sweeps, reader) or reader.sweep_names()
    rows_of = {name: reader.rows([name]) for name in names}
    pages = [_reported(name, rows, tracking, inputs) for name, rows in rows_of.items() if rows]
    if not pages:
        raise UserError("the store holds no trials yet", hint="see 'sweeper run'")
    click.echo(str(write_report(output, pages)))
    for page in pages:
        for note in page.standing.notes():
            click.echo(f"{page.name}: {note}", err=True)


def _reported(name: str, rows: list[TrialRow], tracking: Tracking, inputs: Inputs) -> ReportedSweep:
    """What a page says of a sweep of the store, given its trials."""
    kinds = kinds_of(rows)
    if rows[0].kind not in kinds:
        raise UserError(f"sweep '{name}' is of kind '{rows[0].kind}', which is not installed")
    kind = kinds[rows[0].kind]
    text, description = tracking.results.last_submission(name)
    search, seeds = stored_search(text, kind), stored_seeds(text)
    return ReportedSweep(name, kind, rows, description, text, search, seeds, inputs, rate_fields)
