"""Commands that remove what is stored: rm, prune."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from sweeper.cli.options import STORE, SWEEPS
from sweeper.cli.stored import kinds_of, open_reader, open_tracking
from sweeper.declare.loading import stored_search, stored_seeds
from sweeper.errors import UserError
from sweeper.records import TrialRow
from sweeper.report.lookup import known, named_trial
from sweeper.report.summary import best_settings
from sweeper.report.words import byte_size, plural
from sweeper.store.removal.prune import Criteria, Pruning, choose
from sweeper.store.removal.prune import prune as prune_sweep
from sweeper.store.removal.readers import Reading, find_readings
from sweeper.store.removal.remove import remove_sweep, remove_trials
from sweeper.store.tracking import removed_sweeps
from sweeper.store.versions import of_sweep
from trials import load_kind

if TYPE_CHECKING:
    from sweeper.store.opening import Reader
    from sweeper.store.tracking import Tracking

_MOST_LINES = 10
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_BYTES = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_FORCE = click.option("--force", is_flag=True, help="Also what other trials read.")
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Only say what would go.")
_YES = click.option("-y", "--yes", is_flag=True, help="Do not ask.")


class _Quantity(click.ParamType):
    """A number with a unit, as a number of the smallest unit."""

    def __init__(self, name: str, units: dict[str, int]) -> None:
        self.name, self._units = name, {unit.casefold(): n for unit, n in units.items()}
        self._allowed = ", ".join(filter(None, units))

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> float:
        """The number; the context's usage error for anything else."""
        if isinstance(value, int | float):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)", str(value))
        if match is None or match[2].casefold() not in self._units:
            self.fail(f"'{value}' is not a number with one of the units {self._allowed}")
        return float(match[1]) * self._units[match[2].casefold()]


class _Removal(NamedTuple):
    """What `rm` was asked to remove: whole sweeps, and trials of other sweeps.

    `rows` are all trials that go, `run_ids` their runs and those that are in MLflow's trash.
    """

    sweeps: list[str]
    trials: list[TrialRow]
    rows: list[TrialRow]
    run_ids: set[str]


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="TRIAL|SWEEP...")
@STORE
@_FORCE
@_DRY_RUN
@_YES
def rm(names: Sequence[str], store: str | None, force: bool, dry_run: bool, yes: bool) -> None:
    """Remove trials or whole sweeps: from journal, database and artifacts.

    A trial is named as for 'show'. What a sweep still declares, its next run computes anew.
    """
    tracking, reader = open_tracking(store), open_reader(store)
    removal = _asked(names, tracking, reader)
    found = find_readings(reader, removal.run_ids)
    readings = [reading for reading in found if reading.row.run_id not in removal.run_ids]
    freed = byte_size(sum(row.n_bytes for row in removal.rows))
    for sweep in removal.sweeps:
        n_trials = sum(row.sweep == sweep for row in removal.rows)
        click.echo(f"sweep {sweep}: {plural(n_trials, 'trial')} and its journal")
    _list(f"trial {row.label} of {row.sweep} ({row.run_id[:12]})" for row in removal.trials)
    _refuse_read(readings, force=force or dry_run)
    if dry_run or not _agreed(f"remove this and free {freed}", yes=yes):
        click.echo(f"would free {freed}")
        return
    for sweep, rows in _by_sweep(removal.trials).items():
        remove_trials(tracking, sweep, rows)
    for sweep in removal.sweeps:
        remove_sweep(tracking, sweep)
    click.echo(f"removed; freed {freed}")


@click.command("prune")
@SWEEPS
@STORE
@click.option("--older-than", type=_Quantity("AGE", _SECONDS), default=0, help="As in 30d.")
@click.option("--larger-than", type=_Quantity("SIZE", _BYTES), default=0, help="As in 100MB.")
@click.option(
    "--name",
    "patterns",
    multiple=True,
    metavar="GLOB",
    default=["*.safetensors"],
    show_default=True,
    help="Paths of artifacts (repeatable).",
)
@click.option(
    "--standing",
    type=click.Choice(["any", "superseded", "not-best"]),
    default="any",
    show_default=True,
    help="superseded: of a replaced input or an earlier version of the kind; not-best: all trials "
    "of a sweep but its best setting.",
)
@_FORCE
@_DRY_RUN
@_YES
def prune(
    sweeps: Sequence[str],
    store: str | None,
    older_than: float,
    larger_than: float,
    patterns: Sequence[str],
    standing: str,
    force: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Free space: remove arrays that trials left (checkpoints, dictionaries); metrics stay.

    What other trials read stays, too. 'rm TRIAL' and another run of its sweep compute it again.
    """
    if not (sweeps or older_than or larger_than or standing != "any"):
        raise UserError(
            "says nothing about what to prune",
            where="prune",
            hint="name sweeps, or set --older-than, --larger-than or --standing",
        )
    tracking, reader = open_tracking(store), open_reader(store)
    criteria = Criteria(tuple(patterns), int(larger_than), older_than)
    found: dict[str, list[Pruning]] = {}
    for sweep in known(sweeps, reader) or reader.sweep_names():
        rows = reader.rows([sweep])
        if chosen := list(choose(rows, criteria, _kept(tracking, sweep, rows, standing))):
            found[sweep] = chosen
    if not force:
        found = _without_read(reader, found)
    for sweep, prunings in found.items():
        freed = byte_size(sum(pruning.n_bytes for pruning in prunings))
        n_files = plural(sum(len(pruning.artifacts) for pruning in prunings), "artifact")
        click.echo(f"{sweep}: {n_files} of {plural(len(prunings), 'trial')}, {freed}")
    freed = byte_size(sum(p.n_bytes for prunings in found.values() for p in prunings))
    if dry_run or not found or not _agreed(f"prune this and free {freed}", yes=yes):
        click.echo(f"would free {freed}")
        return
    for sweep, prunings in found.items():
        prune_sweep(tracking, sweep, prunings)
    click.echo(f"pruned; freed {freed}")


def _asked(names: Sequence[str], tracking: Tracking, reader: Reader) -> _Removal:
    results = tracking.results
    stored = reader.sweep_names()
    # In MLflow's trash, half removed, or never shipped.
    others = {*results.deleted_sweeps(), *removed_sweeps(results, half=True)}
    sweeps = [
        name
        for name in dict.fromkeys(names)
        if name in stored
        or any(other == name or other.startswith(f"{name} (removed,") for other in others)
        or (":" not in name and (tracking.store.sweep_dir(name) / "journal.log").is_file())
    ]
    named = [named_trial(reader, name) for name in names if name not in sweeps]
    trials = list({row.run_id: row for row in named if row.sweep not in sweeps}.values())
    rows = reader.rows(in_store) if (in_store := [s for s in sweeps if s in stored]) else []
    run_ids = {row.run_id for row in (*rows, *trials)}
    if set(sweeps) - set(stored):
        run_ids |= {run.info.run_id for sweep, run in results.every_run() if sweep in sweeps}
    return _Removal(sweeps, trials, [*rows, *trials], run_ids)


def _refuse_read(readings: Sequence[Reading], *, force: bool) -> None:
    """Say which trials read what would go; raise UserError unless that is accepted."""
    _list(
        f"{reading.row.sweep}: {reading.row.label} ({reading.row.run_id[:12]}) "
        f"{'was reused from' if reading.is_reused else 'reads'} run {reading.run_id[:12]}"
        for reading in readings
    )
    if readings and not force:
        n_trials = plural(len({reading.row.run_id for reading in readings}), "trial")
        raise UserError(
            f"the results of {n_trials} depend on this: nothing is removed",
            hint="name them too, or add --force",
        )


def _without_read(reader: Reader, found: dict[str, list[Pruning]]) -> dict[str, list[Pruning]]:
    """Without trials whose artifacts others read (`run:`), which are counted in a line."""
    run_ids = [pruning.row.run_id for prunings in found.values() for pruning in prunings]
    read = {r.run_id for r in find_readings(reader, run_ids) if not r.is_reused}
    kept = [p for prunings in found.values() for p in prunings if p.row.run_id in read]
    if kept:
        size = byte_size(sum(pruning.n_bytes for pruning in kept))
        click.echo(f"other trials read {plural(len(kept), 'trial')}, which stay ({size}; --force)")
    left = {s: [p for p in ps if p.row.run_id not in read] for s, ps in found.items()}
    return {sweep: prunings for sweep, prunings in left.items() if prunings}


def _kept(tracking: Tracking, sweep: str, rows: Sequence[TrialRow], standing: str) -> set[str]:
    """Run ids of the trials that stay because of their standing."""
    if standing == "superseded":
        return {row.run_id for row in of_sweep(rows).rows}
    if standing == "any" or not rows:
        return set()
    if rows[0].kind not in kinds_of(rows):
        raise UserError(
            f"is of kind '{rows[0].kind}', which is not installed", where=f"sweep '{sweep}'"
        )
    text, _ = tracking.results.last_submission(sweep)
    search = stored_search(text, load_kind(rows[0].kind))
    ranking = best_settings(of_sweep(rows).rows, search, stored_seeds(text))
    best = ranking.best.front or filter(None, [ranking.best.nearest])
    return {row.run_id for candidate in best for row in candidate.item.rows}


def _by_sweep(rows: Iterable[TrialRow]) -> dict[str, list[TrialRow]]:
    grouped: dict[str, list[TrialRow]] = defaultdict(list)
    for row in rows:
        grouped[row.sweep].append(row)
    return grouped


def _list(lines: Iterable[str]) -> None:
    listed = list(lines)
    for line in listed[:_MOST_LINES]:
        click.echo(line)
    if len(listed) > _MOST_LINES:
        click.echo(f"... and {len(listed) - _MOST_LINES:,} more")


def _agreed(what: str, *, yes: bool) -> bool:
    """Ask, where somebody can answer; UserError where nobody can and --yes is missing."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UserError("nobody can be asked here", hint="--yes removes, --dry-run only shows")
    return click.confirm(f"{what}?")
