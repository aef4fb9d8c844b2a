"""Trials that read what other trials left: which artifacts a sweep file's entries stand for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from sweeper.declare.document import shown
from sweeper.declare.loading import load_first, with_found_runs
from sweeper.declare.runs import FindRuns, RunsOf
from sweeper.declare.sweep import Sweep
from sweeper.errors import UserError, nearest
from sweeper.records import TrialRow, TrialState
from sweeper.run.plan import make_plan
from sweeper.store.location import Store
from sweeper.store.versions import standing

_ARRAYS = ".safetensors"
Say = Callable[[str], object]


def forerunners(sweep: Sweep) -> list[Sweep]:
    """The sweeps that must hold their results before this one starts, in the order to run them.

    Raises:
        UserError: one of them is invalid, or they wait for each other.
    """
    chain: list[Sweep] = []
    current = sweep
    while (first := load_first(current)) is not None:
        if first.origin in {sweep.origin, *(s.origin for s in chain)}:
            raise UserError(f"'{first.name}' would have to run before itself", where=sweep.origin)
        chain.insert(0, first)
        current = first
    return chain


def with_runs_of(sweep: Sweep, store: Store, say: Say = lambda text: None) -> Sweep:
    """The sweep with its entries replaced by what they stand for in a store.

    Of the sweep that runs first only the trials that it declares now count; of others all do, but
    for those of an earlier input or version of the kind: `say` is told how many.

    Raises:
        UserError: no trial fits an entry.
    """
    if not sweep.open_runs:
        return sweep
    first = load_first(sweep)
    return with_found_runs(sweep, _finder(store, first and with_runs_of(first, store), say))


def _finder(store: Store, first: Sweep | None, say: Say) -> FindRuns:

    def find(wanted: RunsOf, where: str) -> Sequence[str]:
        from sweeper.store.tracking import Tracking

        tracking = Tracking(store)
        if wanted.runs not in (names := tracking.sweep_names()):
            what = f"the store holds no sweep '{wanted.runs}'"
            raise UserError(what, where=where, hint=nearest(wanted.runs, names))
        rows = [row for row in tracking.rows([wanted.runs]) if row.state is TrialState.COMPLETE]
        if first is not None and first.name == wanted.runs:
            declared = {spec.key for spec in make_plan(first, []).specs}
            rows = [row for row in rows if row.key in declared]
        rows = [row for row in rows if _matches(row, wanted, where)]
        newest = {row.key: row for row in sorted(rows, key=lambda row: row.ended_ms)}
        kept = standing(newest.values())
        for note in kept.notes(f"{where} takes the newest"):
            say(note)
        found = [uri for row in kept.rows for uri in _uris(row, wanted)]
        if not found:
            what = f"no complete trial of '{wanted.runs}' has {shown(wanted.where)} and left an"
            raise UserError(f"{what} artifact {wanted.artifact}", where=where)
        return found

    return find


def _matches(row: TrialRow, wanted: RunsOf, where: str) -> bool:
    for name, value in wanted.where.items():
        if name not in row.params:
            what = f"trials of '{wanted.runs}' have no field '{name}'"
            raise UserError(what, where=where, hint=nearest(name, row.params))
        if row.params[name] != value:
            return False
    return True


def _uris(row: TrialRow, wanted: RunsOf) -> Iterator[str]:
    run_id = row.reused_from or row.run_id
    stems = sorted(
        PurePosixPath(artifact.path).stem
        for artifact in row.artifacts
        if artifact.path.endswith(_ARRAYS)
    )
    stems = [stem for stem in stems if fnmatchcase(stem, wanted.artifact)]
    chosen = {"all": slice(None), "first": slice(0, 1), "last": slice(-1, None)}[wanted.pick]
    tensor = f"#{wanted.tensor}" if wanted.tensor else ""
    for stem in stems[chosen]:
        yield f"run:{run_id}/{stem}{tensor}"
