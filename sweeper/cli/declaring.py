"""Commands that start nothing and load no heavy library: kinds, check, plan."""

from __future__ import annotations

from collections.abc import Sequence

import click

from sweeper.api.sweeps import check as check_sweep
from sweeper.api.sweeps import load, plans
from sweeper.cli.options import AS_JSON, SET, STORE, SWEEP, TRIALS
from sweeper.errors import UserError, nearest
from sweeper.report.kinds import kind_page, kinds_json, kinds_table
from sweeper.run.plan import plan_json, plan_text
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
    click.echo(check_sweep(sweep, set=overrides, trials=trials))


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
    declared = load(sweep, overrides, trials)
    for each, made in plans(declared, locate_store(store)):
        if each is declared:
            click.echo(plan_json(made) if as_json else plan_text(made))
            continue
        click.echo(f"first, {each.name}: {plan_text(made)}", err=as_json)
        if made.n_new:
            click.echo(f"then {declared.name}: its trials are known when these are", err=True)
