"""Commands that sum up whole sweeps: report, verdict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sweeper.cli.options import AS_JSON, STORE, SWEEPS
from sweeper.cli.pages import reported, write_study_page
from sweeper.cli.stored import known, open_tracking
from sweeper.errors import UserError

if TYPE_CHECKING:
    from sweeper.store.versions import Inputs


@click.command()
@SWEEPS
@STORE
@click.option("--study", is_flag=True, help="One page for the whole study, with its verdict.")
@click.option(
    "--inputs",
    type=click.Choice(["latest", "all"]),
    default="latest",
    show_default=True,
    help="Where an input was replaced or the kind has a new version: the newest trials, or all, "
    "each version apart.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"),
    show_default=True,
)
def report(
    sweeps: Sequence[str], store: str | None, study: bool, inputs: Inputs, output: Path
) -> None:
    """Write one self-contained HTML page on the named sweeps (default: all)."""
    from sweeper.look.report import write_report

    tracking = open_tracking(store)
    if study:
        rows = tracking.rows(known(sweeps, tracking))
        click.echo(str(write_study_page(output, rows, tracking, inputs)))
        return
    names = known(sweeps, tracking) or tracking.sweep_names()
    pages = [reported(name, tracking, inputs) for name in names if tracking.rows([name])]
    if not pages:
        raise UserError("the store holds no trials yet", hint="see 'sweeper run'")
    click.echo(str(write_report(output, pages)))
    for page in pages:
        for note in page.standing.notes():
            click.echo(f"{page.name}: {note}", err=True)


@click.command()
@SWEEPS
@STORE
@AS_JSON
@click.option("--rule", metavar="FILE", help="A rule file (default: trials/rules/verdict.yaml).")
def verdict(sweeps: Sequence[str], store: str | None, as_json: bool, rule: str | None) -> None:
    """Decide the research question from the named sweeps (default: all), by a rule fixed before."""
    from sweeper.look.verdict.decide import decide
    from sweeper.look.verdict.page import verdict_json, verdict_page
    from sweeper.look.verdict.rule import load_rule

    loaded = load_rule(rule)
    tracking = open_tracking(store)
    rows = tracking.rows(known(sweeps, tracking))
    decided = decide(rows, loaded, tracking.fetch_artifact)
    values = {"h1": decided.worse.value, "h2": decided.ends.value, "rule_sha256": loaded.digest}
    click.echo(verdict_json(decided) if as_json else verdict_page(decided), nl=as_json)
    try:
        tracking.note_verdict(sorted({row.sweep for row in rows}), values)
    except UserError as error:  # whoever may only read still gets the verdict
        click.echo(f"note: the verdict is not recorded in the store ({error})", err=True)
