"""The commands of the study. `sweeper` finds them by the entry-point group `sweeper.commands`.

This module is imported when one of its commands is called, and by no `--help`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from study.report import write_study
from study.report.trials_of import Files
from study.selftest import selftest as run_selftest
from study.selftest.page import selftest_json, selftest_line
from study.verdict.decide import decide
from study.verdict.page import verdict_json, verdict_page
from study.verdict.rule import load_rule
from sweeper.cli.options import AS_JSON, INPUTS, STORE, SWEEPS
from sweeper.cli.stored import kinds_of, known, open_tracking
from sweeper.errors import UserError
from sweeper.records import TrialRow
from sweeper.store.versions import Inputs

if TYPE_CHECKING:
    from sweeper.store.tracking import Tracking

EXIT_DISAGREES = 1


@click.command()
@SWEEPS
@STORE
@AS_JSON
@click.option("--rule", metavar="FILE", help="A rule file (default: study/rules/verdict.yaml).")
def verdict(sweeps: Sequence[str], store: str | None, as_json: bool, rule: str | None) -> None:
    """Decide the research question from the named sweeps (default: all), by a rule fixed before."""
    loaded = load_rule(rule)
    tracking = open_tracking(store)
    rows = tracking.rows(known(sweeps, tracking))
    decided = decide(rows, loaded, tracking.fetch_artifact)
    values = {"h1": decided.worse.value, "h2": decided.ends.value, "rule_sha256": loaded.digest}
    tags = {f"verdict.{name}": value for name, value in values.items()}
    click.echo(verdict_json(decided) if as_json else verdict_page(decided), nl=as_json)
    try:
        tracking.tag_sweeps(sorted({row.sweep for row in rows}), tags)
    except UserError as error:  # a user who may only read gets the verdict all the same
        click.echo(f"note: the verdict is not recorded in the store ({error})", err=True)


@click.group()
def study() -> None:
    """The study as a whole."""


@study.command()
@SWEEPS
@STORE
@INPUTS
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("study.html"),
    show_default=True,
)
def report(sweeps: Sequence[str], store: str | None, inputs: Inputs, output: Path) -> None:
    """Write one page on the whole study, with its verdict."""
    tracking = open_tracking(store)
    rows = tracking.rows(known(sweeps, tracking))
    click.echo(str(write_study_page(output, rows, tracking, inputs)))


def write_study_page(
    output: Path, rows: list[TrialRow], tracking: Tracking, inputs: Inputs = "latest"
) -> Path:
    """Write the page on `rows`, the trials of a store, with its verdict."""
    if not rows:
        raise UserError("the store holds no trials yet", hint="see 'sweeper run'")
    decided = decide(rows, load_rule(), tracking.fetch_artifact)
    files = Files(tracking.fetch_artifact, tracking.artifact_file, output.parent)
    return write_study(output, rows, kinds_of(rows), decided, files, inputs)


@click.command()
@AS_JSON
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def selftest(as_json: bool, seed: int) -> int:
    """Plant structures and nulls here, and compare what is measured with what is expected."""
    lines: list[Any] = []
    for line in run_selftest(seed):
        if not as_json:
            is_first = not lines or lines[-1].planted != line.planted
            click.echo(selftest_line(line, is_first=is_first))
        lines.append(line)
    if as_json:
        click.echo(selftest_json(lines))
    n_failed = sum(not line.passed for line in lines)
    click.echo(f"{len(lines) - n_failed} of {len(lines)} as expected", err=True)
    return EXIT_DISAGREES if n_failed else 0
