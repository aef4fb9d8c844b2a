"""Trials that read what other trials left: which artifacts a sweep file's entries stand for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from sweeper.declare.document import shown
from sweeper.declare.loading import with_found_runs
from sweeper.declare.runs import FindRuns, RunsOf, stand_in
from sweeper.declare.sweep import Sweep
from sweeper.errors import SweepDeleted, UserError, nearest
from sweeper.records import TrialRow, TrialState
from sweeper.run.keys import check_inputs
from sweeper.run.plan import check_name, make_plan
from sweeper.store.index import find_deleted, read_index
from sweeper.store.location import Store
from sweeper.store.opening import open_reader
from sweeper.store.versions import standing

_ARRAYS = ".safetensors"
Say = Callable[[str], object]


def check_chain(sweep: Sweep, store: Store) -> None:
    """Check what would otherwise be noticed only after the predecessors of a sweep have run.

    Raises:
        UserError: an input of one of the sweeps does not exist, the store has a sweep of the same
            name and another kind, or an entry names trials that neither the store has nor one of
            the predecessors makes.
    """
    chain = (*sweep.predecessors, sweep)
    if len(chain) == 1:
        return
    stored = read_index(store)
    for each in chain:
        check_name(each, stored)
        check_inputs(each)
        made = {before.name for before in each.predecessors}
        with_found_runs(each, _unless_made(made, _finder(store, None)))


def with_runs_of(sweep: Sweep, store: Store, say: Say = lambda text: None) -> Sweep:
    """The sweep with its entries replaced by what they stand for in a store.

    Of the sweep that runs first only the trials that it declares now count; of others all do, but
    for those of an earlier input or version of the kind: `say` is told how many.

    Raises:
        UserError: no trial fits an entry.
    """
    if not sweep.open_runs:
        return sweep
    first = sweep.predecessor
    return with_found_runs(sweep, _finder(store, first and with_runs_of(first, store), say))


def _unless_made(made: Collection[str], find_runs: FindRuns) -> FindRuns:
    """Asks the store, but not for sweeps that run before: their trials need not exist yet."""

    def find(wanted: RunsOf, where: str) -> Sequence[str]:
        return stand_in(wanted, where) if wanted.runs in made else find_runs(wanted, where)

    return find


def _finder(store: Store, first: Sweep | None, say: Say = lambda text: None) -> FindRuns:

    def find(wanted: RunsOf, where: str) -> Sequence[str]:
        # Opening the database would create it.
        results = open_reader(store) if store.exists() else None
        names = results.sweep_names() if results else []
        if results is None or wanted.runs not in names:
            if find_deleted(store, wanted.runs).sweep:
                raise SweepDeleted(wanted.runs)
            what = f"the store holds no sweep '{wanted.runs}'"
            raise UserError(what, where=where, hint=nearest(wanted.runs, names))
        rows = [row for row in results.rows([wanted.runs]) if row.state is TrialState.COMPLETE]
        if first is not None and first.name == wanted.runs:
            declared = {spec.key for spec in make_plan(first, []).specs}
            rows = [row for row in rows if row.key in declared]
        rows = [row for row in rows if _matches(row, wanted, where)]
        newest = {row.key: row for row in sorted(rows, key=lambda row: row.ended_ms)}
        kept = standing(newest.values())
        for note in kept.notes(f"{where} takes the newest"):
            say(note)
        by_seed = sorted(kept.rows, key=lambda row: (row.params.get("seed") or 0, row.key))
        found = [uri for row in by_seed for uri in _uris(row, wanted)]
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
