"""What is said when a sweep has run, and the exit code that says it to scripts."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

import click

from sweeper.declare.sweep import Sweep
from sweeper.errors import masked
from sweeper.report.final_table import final_table
from sweeper.report.words import plural
from sweeper.run.driver.attempts import EXIT_TRIAL_FAILED
from sweeper.run.driver.drive import SweepRun
from sweeper.run.driver.shipping import unshipped_line
from sweeper.store.location import Store
from trials import load_kind

EXIT_UNSHIPPED = 3


def say_done(sweep: Sweep, place: Store, done: SweepRun, store: str | None) -> int:
    """Print the results and where they lie; returns the exit code."""
    failed = [row for row in done.rows if row.state == "FAILED"]
    if done.rows:
        click.echo(final_table(done.rows, load_kind(sweep.kind), sweep.search, seeds=sweep.seeds))
    for row in failed[:5]:
        click.echo(f"failed: {row.label}: {row.error}", err=True)
    for text in done.invalid[:5]:
        click.echo(f"skipped: {text}", err=True)
    n = len(done.rows)
    kept = f"{plural(n, 'trial')}: {done.n_run} run now, {n - done.n_run} reused"
    again = " (run them again with --retry failed)" if failed else ""
    click.echo(f"{kept}, {len(failed)} failed{again}", err=True)
    if done.ending.why:
        click.echo(done.ending.why, err=True)
    if done.report:
        click.echo(f"report:  {_short(done.report)}")
    words = [_program(), "serve", *(["--store", masked(store)] if store else [])]
    click.echo(f"open UI: {place.shown if place.is_server else shlex.join(words)}")
    if done.n_unshipped:
        line = unshipped_line(done.n_unshipped, done.ship_error, place.shown, refused=done.refused)
        click.echo(line, err=True)
    interrupted = done.ending.exit_code > 128
    if done.n_unshipped and not interrupted:
        return EXIT_UNSHIPPED
    return done.ending.exit_code or (EXIT_TRIAL_FAILED if failed else 0)


def _program() -> str:
    """How this program can be typed here: by name if the name finds it, else by path."""
    called = Path(sys.argv[0]).absolute()
    found = shutil.which("sweeper")
    named = called.name != "sweeper" or (found and Path(found).samefile(called))
    return "sweeper" if named else _short(called)


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
