"""Removes trials and sweeps from journal, database and artifacts together."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from sweeper.records import TrialRow
from sweeper.store.artifacts import StagingArea
from sweeper.store.journal import Journal, Removed, replay
from sweeper.store.location import Store
from sweeper.store.removal.hold import hold, refuse_running
from sweeper.store.tracking import Removals, Tracking

NOTHING = "nothing is removed"


def remove_trials(tracking: Tracking, sweep: str, rows: Sequence[TrialRow]) -> None:
    """Remove trials of a sweep. What the sweep declares, its next run computes anew.

    Raises:
        UserError: a driver runs the sweep, or the store does not answer.
    """
    store, removals = tracking.store, Removals(tracking.results)
    with ExitStack() as locks:
        refuse_running(store, tracking.results, sweep, NOTHING)
        journal = hold(tracking, sweep, locks, is_stored=True)
        for row in rows:
            removals.begin_run(row.run_id)
        if journal:
            note_removed(journal, {row.key: row.run_id for row in rows})
        for row in rows:
            drop_work(store, sweep, row.key)
            removals.end_run(row.run_id)


def remove_sweep(tracking: Tracking, sweep: str) -> None:
    """Remove a sweep with all that it left; its next run begins anew.

    Raises:
        UserError: a driver runs the sweep, or the store does not answer.
    """
    results = tracking.results
    with ExitStack() as locks:
        refuse_running(tracking.store, results, sweep, NOTHING)
        hold(tracking, sweep, locks, is_stored=sweep in results.sweep_names())
        finish_sweep(tracking, sweep)


def finish_sweep(tracking: Tracking, sweep: str) -> None:
    """`remove_sweep` for a caller that holds the sweep; also ends one that was interrupted."""
    removals = Removals(tracking.results)
    removals.begin_sweep(sweep)
    _drop_sweep_folder(tracking.store.sweep_dir(sweep))
    removals.end_sweep(sweep)


def note_removed(journal: Journal, run_ids: dict[str, str]) -> None:
    """Record in a journal that trials were removed, given the run that held each key.

    A later run of the same trial stays.
    """
    history = replay(journal.events())
    journal.append(
        *(
            Removed(key=key, run_id=run_id)
            for key, run_id in run_ids.items()
            if key in history.specs and history.run_ids.get(key, run_id) == run_id
        )
    )


def drop_work(store: Store, sweep: str, key: str) -> None:
    """Remove the staged artifacts and the checkpoint that a driver keeps for a trial."""
    folder = store.sweep_dir(sweep)
    StagingArea(folder / "staged").drop(key)
    shutil.rmtree(folder / "checkpoints" / key, ignore_errors=True)


def _drop_sweep_folder(folder: Path) -> None:
    """Remove the folder of a sweep: out of the way in one step, then file by file."""
    if folder.is_dir():
        folder.rename(folder.with_name(f".{folder.name}.removed-{os.getpid()}"))
    for left in folder.parent.glob(f".{folder.name}.removed-*"):
        shutil.rmtree(left, ignore_errors=True)
