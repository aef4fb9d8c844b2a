"""The command `run`."""

from __future__ import annotations

from collections.abc import Sequence

import click
from rich.console import Console

from sweeper.cli.ending import say_done
from sweeper.cli.options import SET, STORE, SWEEP, TRIALS
from sweeper.cli.reporting import write_own_report
from sweeper.declare.loading import load_sweep
from sweeper.run.driver.drive import run_sweep
from sweeper.run.lineage import check_chain, with_runs_of
from sweeper.run.plan import Retry
from sweeper.run.runners import make_runner
from sweeper.store.location import locate_store


@click.command()
@SWEEP
@SET
@TRIALS
@STORE
@click.option("--in-process", is_flag=True, help="One trial at a time in this process, no Ray.")
@click.option(
    "--retry",
    type=click.Choice(["failed", "deleted"]),
    multiple=True,
    help="Run trials again that failed, or whose runs were deleted in MLflow (repeatable).",
)
@click.option("--force", is_flag=True, help="Run every trial again, whatever exists.")
def run(
    sweep: str,
    overrides: Sequence[str],
    trials: int | None,
    store: str | None,
    in_process: bool,
    retry: Sequence[str],
    force: bool,
) -> int:
    """Make the store hold every result that SWEEP declares; what exists is reused."""
    declared = load_sweep(sweep, overrides=overrides, trials=trials)
    place = locate_store(store)
    check_chain(declared, place)
    again = Retry(failed="failed" in retry, deleted="deleted" in retry, everything=force)
    code = 0
    for each in (*declared.predecessors, declared):
        if each is not declared:
            click.echo(f"first: {each.name}", err=True)
        resolved = with_runs_of(each, place, lambda text: click.echo(text, err=True))
        if in_process and resolved.limits.needs_worker:
            click.echo("--in-process does not enforce trial_timeout_s and memory_gib", err=True)
        done = run_sweep(
            resolved,
            place,
            make_runner(resolved.resources, in_process=in_process),
            console=Console(stderr=True),
            make_report=write_own_report,
            retry=again,
        )
        if code := say_done(resolved, place, done, store):
            break
    return code
