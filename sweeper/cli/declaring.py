"""Commands that start nothing and load no heavy library: kinds, check, plan."""

from __future__ import annotations

from collections.abc import Sequence

import click

from sweeper.cli.options import AS_JSON, SET, STORE, SWEEP, TRIALS
from sweeper.declare.files import check_files
from sweeper.declare.loading import load_sweep
from sweeper.errors import UserError, nearest
from sweeper.report.kinds import kind_page, kinds_json, kinds_table
from sweeper.run.lineage import check_chain, with_runs_of
from sweeper.run.plan import make_plan, plan_json, plan_text
from sweeper.store.index import read_index
from sweeper.store.location import locate_store
from trials import kind_names, load_kind


@click.command()
@click.argument("name", required=False)
@AS_JSON
def kinds(name: str | None, as_json: bool) -> None:
    """What can be swept: fields, ranges, defaults, metrics with units."""
    if name is not None and name not in kind_names():
        raise UserError(f"unknown kind '{name}'", hint=nearest(name, kind_names()))
    found = [load_kind(n) for n in ([name] if name else kind_names())]
    if as_json:
        click.echo(kinds_json(found))
    else:
        click.echo(kind_page(found[0]) if name else kinds_table(found))


@click.command()
@SWEEP
@SET
@TRIALS
def check(sweep: str, overrides: Sequence[str], trials: int | None) -> None:
    """Validate SWEEP: every field, both ends of every range."""
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
    declared = load_sweep(sweep, overrides=overrides, trials=trials)
    place = locate_store(store)
    check_chain(declared, place)
    stored = read_index(place)
    for first in declared.predecessors:
        made = make_plan(with_runs_of(first, place), stored)
        click.echo(f"first, {first.name}: {plan_text(made)}", err=as_json)
        if made.n_new:
            click.echo(f"then {declared.name}: its trials are known when these are", err=True)
            return
    made = make_plan(with_runs_of(declared, place), stored)
    click.echo(plan_json(made) if as_json else plan_text(made))
