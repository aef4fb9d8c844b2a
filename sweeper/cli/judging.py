"""The command `report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sweeper.cli.options import INPUTS, STORE, SWEEPS
from sweeper.cli.pages import reported
from sweeper.cli.stored import known, open_tracking
from sweeper.errors import UserError

if TYPE_CHECKING:
    from sweeper.store.versions import Inputs


@click.command()
@SWEEPS
@STORE
@INPUTS
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"),
    show_default=True,
)
def report(sweeps: Sequence[str], store: str | None, inputs: Inputs, output: Path) -> None:
    """Write one self-contained HTML page on the named sweeps (default: all)."""
    from sweeper.report.html.page import write_report

    tracking = open_tracking(store)
    names = known(sweeps, tracking) or tracking.results.sweep_names()
    pages = [reported(name, tracking, inputs) for name in names if tracking.results.rows([name])]
    if not pages:
        raise UserError("the store holds no trials yet", hint="see 'sweeper run'")
    click.echo(str(write_report(output, pages)))
    for page in pages:
        for note in page.standing.notes():
            click.echo(f"{page.name}: {note}", err=True)
