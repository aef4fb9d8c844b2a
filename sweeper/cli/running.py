"""The command `run`."""

from __future__ import annotations

from collections.abc import Sequence

import click
from rich.console import Console

from sweeper.api.running import RETRIES, run_chain
from sweeper.api.sweeps import load
from sweeper.cli.ending import say_done
from sweeper.cli.options import SET, STORE, SWEEP, TRIALS
from sweeper.run.plan import Retry
from sweeper.store.location import locate_store


@click.command()
@SWEEP
@SET
@TRIALS
@STORE
@click.option("--in-process", is_flag=True, help="One trial at a time in this process, no Ray.")
@click.option(
    "--retry",
    type=click.Choice(RETRIES),
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
    declared = load(sweep, overrides, trials)
    place = locate_store(store)
    again = Retry(failed="failed" in retry, deleted="deleted" in retry, everything=force)
    code = 0
    for each, done in run_chain(
        declared, place, Console(stderr=True), in_process=in_process, retry=again
    ):
        if code := say_done(each, place, done, store):
            break
    return code
