"""Commands that hold results against something else: fsck, rerun."""

from __future__ import annotations

from collections.abc import Sequence

import click

from sweeper.cli.options import AS_JSON, STORE, SWEEPS
from sweeper.cli.stored import open_reader, open_tracking
from sweeper.report.fsck_page import fsck_json, fsck_lines
from sweeper.report.lookup import named_trial
from sweeper.report.rerun_page import Repetition, rerun_json, rerun_page
from sweeper.run.rerun import rerun as run_again
from sweeper.store.fsck.check import check, repair
from sweeper.store.location import locate_store
from trials import load_kind

EXIT_DISAGREES = 1


@click.command()
@SWEEPS
@STORE
@AS_JSON
@click.option("--repair", "mend", is_flag=True, help="Mend what can be mended.")
def fsck(sweeps: Sequence[str], store: str | None, as_json: bool, mend: bool) -> int:
    """Hold journals, database and artifact digests against each other."""
    place, verdicts = locate_store(store), []
    for verdict in repair(place, sweeps) if mend else check(place, sweeps):
        verdicts.append(verdict)
        for line in () if as_json else fsck_lines(verdict, repaired=mend):
            click.echo(line)
    if as_json:
        click.echo(fsck_json(verdicts), nl=False)
    return EXIT_DISAGREES if any(verdict.disagreements for verdict in verdicts) else 0


@click.command()
@click.argument("trial")
@STORE
@AS_JSON
@click.option("--rtol", type=click.FloatRange(0), default=1e-6, show_default=True)
@click.option("--atol", type=click.FloatRange(0), default=1e-9, show_default=True)
@click.option("--device", type=click.Choice(["cpu", "cuda:0"]), help="Default: as the trial ran.")
def rerun(
    trial: str, store: str | None, as_json: bool, rtol: float, atol: float, device: str | None
) -> int:
    """Repeat a stored trial here and compare its metrics; the store stays as it is."""
    tracking = open_tracking(store)
    row = named_trial(open_reader(store), trial)
    outcome = run_again(row, tracking.results.spec(row.run_id), tracking.store, device)
    repetition = Repetition(row, load_kind(row.kind), outcome, rtol, atol)
    click.echo(rerun_json(repetition) if as_json else rerun_page(repetition), nl=False)
    return 0 if repetition.agrees else EXIT_DISAGREES
