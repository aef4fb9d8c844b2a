"""The command `report`, and the page of a sweep that has just run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sweeper.cli import options
from sweeper.cli.options import INPUTS, STORE, SWEEPS
from sweeper.cli.stored import kinds_of, known, open_tracking
from sweeper.declare.canonical import sweep_text
from sweeper.declare.loading import stored_search, stored_seeds
from sweeper.declare.sweep import Sweep
from sweeper.errors import UserError
from sweeper.records import Scalar, TrialRow
from sweeper.report.html.page import ReportedSweep, write_report
from sweeper.store.versions import Inputs
from trials import load_kind

if TYPE_CHECKING:
    from sweeper.store.tracking import Tracking


@click.command()
@SWEEPS
@STORE
@INPUTS
@options.output("report.html")
def report(sweeps: Sequence[str], store: str | None, inputs: Inputs, output: Path) -> None:
    """Write one self-contained HTML page on the named sweeps (default: all)."""
    tracking = open_tracking(store)
    names = known(sweeps, tracking.results) or tracking.results.sweep_names()
    rows_of = {name: tracking.results.rows([name]) for name in names}
    pages = [_reported(name, rows, tracking, inputs) for name, rows in rows_of.items() if rows]
    if not pages:
        raise UserError("the store holds no trials yet", hint="see 'sweeper run'")
    click.echo(str(write_report(output, pages)))
    for page in pages:
        for note in page.standing.notes():
            click.echo(f"{page.name}: {note}", err=True)


def write_own_report(path: Path, sweep: Sweep, rows: list[TrialRow]) -> None:
    """Write the page of a sweep that has just run."""
    page = ReportedSweep(
        sweep.name,
        load_kind(sweep.kind),
        rows,
        sweep.description,
        sweep_text(sweep),
        sweep.search,
        sweep.seeds,
        rate_fields=_rate_fields,
    )
    write_report(path, [page])


def _reported(name: str, rows: list[TrialRow], tracking: Tracking, inputs: Inputs) -> ReportedSweep:
    """What a page says of a sweep of the store, given its trials."""
    kinds = kinds_of(rows)
    if rows[0].kind not in kinds:
        raise UserError(f"sweep '{name}' is of kind '{rows[0].kind}', which is not installed")
    kind = kinds[rows[0].kind]
    text, description = tracking.results.last_submission(name)
    search, seeds = stored_search(text, kind), stored_seeds(text)
    return ReportedSweep(name, kind, rows, description, text, search, seeds, inputs, _rate_fields)


def _rate_fields(
    assignments: Sequence[Mapping[str, Scalar]], values: Sequence[float]
) -> Mapping[str, float]:
    """How important each searched field is."""
    from sweeper.run.search.with_optuna.importance import field_importances  # loads optuna

    return field_importances(assignments, values)
