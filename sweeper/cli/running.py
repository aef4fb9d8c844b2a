"""Commands on a sweep that is to run: run, check, plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from sweeper.cli.ending import say_done
from sweeper.cli.options import AS_JSON, SET, STORE, SWEEP, TRIALS
from sweeper.cli.pages import write_own_report

if TYPE_CHECKING:
    from sweeper.declare.sweep import Sweep
    from sweeper.store.location import Store


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
    from sweeper.declare.loading import load_sweep
    from sweeper.run.lineage import check_chain, with_runs_of
    from sweeper.store.location import locate_store

    declared = load_sweep(sweep, overrides=overrides, trials=trials)
    place = locate_store(store)
    check_chain(declared, place)
    code = 0
    for each in (*declared.predecessors, declared):
        if each is not declared:
            click.echo(f"first: {each.name}", err=True)
        resolved = with_runs_of(each, place, lambda text: click.echo(text, err=True))
        code = _run_one(resolved, place, store, in_process=in_process, retry=retry, force=force)
        if code:
            break
    return code


def _run_one(
    declared: Sweep,
    place: Store,
    store: str | None,
    *,
    in_process: bool,
    retry: Sequence[str],
    force: bool,
) -> int:
    from rich.console import Console

    from sweeper.run.drive import run_sweep
    from sweeper.run.runners import make_runner

    if in_process and declared.limits.needs_worker:
        click.echo("--in-process does not enforce trial_timeout_s and memory_gib", err=True)
    done = run_sweep(
        declared,
        place,
        make_runner(declared.resources, in_process=in_process),
        console=Console(stderr=True),
        make_report=write_own_report,
        retry_failed="failed" in retry,
        retry_deleted="deleted" in retry,
        force=force,
    )
    return say_done(declared, place, done, store)


@click.command()
@SWEEP
@SET
@TRIALS
def check(sweep: str, overrides: Sequence[str], trials: int | None) -> None:
    """Validate SWEEP: every field, both ends of every range."""
    from sweeper.declare.inputs import check_files
    from sweeper.declare.loading import load_sweep

    declared = load_sweep(sweep, overrides=overrides, trials=trials)
    for each in (*declared.predecessors, declared):
        check_files(each)
    space = ", ".join(declared.space) or "nothing"
    nulls = f", nulls {', '.join(declared.nulls)}" if declared.nulls else ""
    limits = f"; limits: {declared.limits}" if declared.limits.model_fields_set else ""
    click.echo(f"{declared.origin}: valid; kind {declared.kind}, varies {space}{nulls}{limits}")


@click.command()
@SWEEP
@SET
@TRIALS
@STORE
@AS_JSON
def plan(
    sweep: str, overrides: Sequence[str], trials: int | None, store: str | None, as_json: bool
) -> None:
    """Show what SWEEP would run: cached, new, expected time."""
    from sweeper.declare.loading import load_sweep
    from sweeper.run.lineage import check_chain, with_runs_of
    from sweeper.run.plan import make_plan, plan_json, plan_text
    from sweeper.store.location import locate_store
    from sweeper.store.peek import peek

    declared = load_sweep(sweep, overrides=overrides, trials=trials)
    place = locate_store(store)
    check_chain(declared, place)
    stored = peek(place)
    for first in declared.predecessors:
        made = make_plan(with_runs_of(first, place), stored)
        click.echo(f"first, {first.name}: {plan_text(made)}", err=as_json)
        if made.n_new:
            click.echo(f"then {declared.name}: its trials are known when these are", err=True)
            return
    made = make_plan(with_runs_of(declared, place), stored)
    click.echo(plan_json(made) if as_json else plan_text(made))
