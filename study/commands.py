"""The commands of the study. `sweeper` finds them by the entry-point group `sweeper.commands`.

This module is imported when one of its commands is called, and by no `--help`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from study.matching import agreement_json, agreement_page, match_trials
from study.report import TrialFiles, write_study
from study.selftest import run_checks, selftest_json, selftest_line
from study.verdict import (
    KINDS,
    decide,
    load_rule,
    metrics_read,
    verdict_json,
    verdict_page,
)
from sweeper.cli import options
from sweeper.cli.options import AS_JSON, INPUTS, STORE, SWEEPS
from sweeper.cli.stored import kinds_of, open_reader, open_tracking
from sweeper.errors import UserError
from sweeper.records import TrialRow
from sweeper.report.lookup import known, named_trial
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
    """Decide the research question from sweeps (default: all) by a rule set in advance."""
    loaded = load_rule(rule)
    tracking, reader = open_tracking(store), open_reader(store)
    known(sweeps, reader)
    rows = reader.light_rows(metrics_read(loaded), sweeps=sweeps, kinds=KINDS)
    decided = decide(rows, loaded, tracking.results.fetch_artifact)
    values = {"h1": decided.h1.value, "h2": decided.h2.value, "rule_sha256": loaded.digest}
    tags = {f"verdict.{name}": value for name, value in values.items()}
    click.echo(verdict_json(decided) if as_json else verdict_page(decided), nl=as_json)
    try:
        tracking.tag_sweeps(list(sweeps or reader.sweep_names()), tags)
    except UserError as error:  # a user with read access only still gets the verdict
        click.echo(f"note: the verdict is not recorded in the store ({error})", err=True)


@click.group()
def study() -> None:
    """The study as a whole."""


@study.command()
@SWEEPS
@STORE
@INPUTS
@options.output("study.html")
def report(sweeps: Sequence[str], store: str | None, inputs: Inputs, output: Path) -> None:
    """Write one page on the whole study, with the verdict."""
    tracking, reader = open_tracking(store), open_reader(store)
    rows = reader.rows(known(sweeps, reader))
    click.echo(str(write_study_page(output, rows, tracking, inputs)))


@study.command()
@click.argument("a")
@click.argument("b")
@STORE
@AS_JSON
@click.option("--min-cosine", type=click.FloatRange(0, 1), default=0.7, show_default=True)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Pairs shown.")
def match(a: str, b: str, store: str | None, as_json: bool, min_cosine: float, limit: int) -> None:
    """List the atoms on which the dictionaries of two trials agree, and how many by chance."""
    reader, results = open_reader(store), open_tracking(store).results
    first, second = named_trial(reader, a), named_trial(reader, b)
    found = match_trials(first, second, results.fetch_artifact, min_cosine)
    click.echo(agreement_json(found) if as_json else agreement_page(found, limit), nl=False)


def write_study_page(
    output: Path, rows: list[TrialRow], tracking: Tracking, inputs: Inputs = "latest"
) -> Path:
    """Write the page on `rows`, the trials of a store, with its verdict."""
    if not rows:
        raise UserError("the store holds no trials yet", hint="see 'sweeper run'")
    results = tracking.results
    decided = decide(rows, load_rule(), results.fetch_artifact)
    files = TrialFiles(results.fetch_artifact, results.artifact_file, output.parent)
    return write_study(output, rows, kinds_of(rows), decided, files, inputs)


@click.command()
@AS_JSON
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def selftest(as_json: bool, seed: int) -> int:
    """Plant structures and nulls, and check that each statistic lies in its expected range."""
    lines: list[Any] = []
    for line in run_checks(seed):
        if not as_json:
            is_first = not lines or lines[-1].planted != line.planted
            click.echo(selftest_line(line, is_first=is_first))
        lines.append(line)
    if as_json:
        click.echo(selftest_json(lines))
    n_failed = sum(not line.passed for line in lines)
    click.echo(f"{len(lines) - n_failed} of {len(lines)} as expected", err=True)
    return EXIT_DISAGREES if n_failed else 0
