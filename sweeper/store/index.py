"""Which trials a store holds, and which were deleted, read in milliseconds.

Opening the tracking store through its client costs seconds (imports, migrations). `plan` and the
start of `run` only need keys, states and times, so they ask a SQLite store directly, read-only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any, NamedTuple

from sweeper.errors import UserError
from sweeper.records import Deleted, TrialState
from sweeper.store.location import Store
from sweeper.store.opening import open_results
from sweeper.store.sqlite_file import read_only_name

_LOCK_TIMEOUT_S = 120.0  # our own writers hold a lock for seconds
_TRIALS = """
SELECT key.value, state.value, experiments.name, runs.start_time, runs.end_time, kind.value,
    runs.run_uuid
FROM runs
JOIN experiments USING (experiment_id)
JOIN tags AS key ON key.run_uuid = runs.run_uuid AND key.key = 'trial_key'
JOIN tags AS state ON state.run_uuid = runs.run_uuid AND state.key = 'state'
JOIN tags AS kind ON kind.run_uuid = runs.run_uuid AND kind.key = 'kind'
WHERE runs.lifecycle_stage = 'active'
"""
_EXPERIMENT = "SELECT lifecycle_stage FROM experiments WHERE name = ?"
_DELETED_TRIALS = """
SELECT key.value
FROM runs
JOIN experiments USING (experiment_id)
JOIN tags AS key ON key.run_uuid = runs.run_uuid AND key.key = 'trial_key'
JOIN tags AS state ON state.run_uuid = runs.run_uuid AND state.key = 'state'
WHERE experiments.name = ? AND runs.lifecycle_stage = 'deleted'
AND state.value IN ('COMPLETE', 'PRUNED', 'FAILED')
AND NOT EXISTS (
    SELECT 1 FROM tags AS removed
    WHERE removed.run_uuid = runs.run_uuid AND removed.key = 'sweeper.removed'
)
"""
_HALF_REMOVED = """
SELECT 1 FROM experiments
JOIN experiment_tags AS removed ON removed.experiment_id = experiments.experiment_id
WHERE experiments.name = ? AND removed.key = 'sweeper.removed'
UNION
SELECT 1 FROM tags AS removed
JOIN runs ON runs.run_uuid = removed.run_uuid
JOIN experiments ON experiments.experiment_id = runs.experiment_id
WHERE removed.key = 'sweeper.removed' AND experiments.name = ? AND runs.lifecycle_stage = 'active'
"""


class StoredTrial(NamedTuple):
    """A stored trial, as far as planning needs it; `ended_ms` is 0 while it runs."""

    key: str
    state: TrialState
    sweep: str
    kind: str
    duration_s: float
    run_id: str = ""
    ended_ms: int = 0


def read_index(store: Store) -> list[StoredTrial]:
    """Every trial of the store; empty if there is no store yet.

    Raises:
        UserError: the file is no tracking store, or the store does not answer.
    """
    if not store.is_local_file:
        rows = open_results(store).rows()
        return [
            StoredTrial(r.key, r.state, r.sweep, r.kind, r.duration_s, r.run_id, r.ended_ms)
            for r in rows
        ]
    trials = []
    for key, state, sweep, start_ms, end_ms, kind, run_id in _select(store, _TRIALS):
        if state in set(TrialState):  # a trial that fsck must repair cannot be reused
            duration_s = max(0, (end_ms or 0) - (start_ms or 0)) / 1000
            trials.append(
                StoredTrial(key, TrialState(state), sweep, kind, duration_s, run_id, end_ms or 0)
            )
    return trials


def find_deleted(store: Store, sweep: str) -> Deleted:
    """What of `sweep` was deleted.

    Raises:
        UserError: the file is no tracking store, or the store does not answer.
    """
    if not store.is_local_file:
        return open_results(store).deleted(sweep)
    stages = _select(store, _EXPERIMENT, [sweep])
    keys = _select(store, _DELETED_TRIALS, [sweep])
    half_removed = bool(_select(store, _HALF_REMOVED, [sweep, sweep]))
    return Deleted(("deleted",) in stages, frozenset(key for (key,) in keys), half_removed)


def _select(store: Store, query: str, values: Sequence[str] = ()) -> list[tuple[Any, ...]]:
    """Rows of the SQLite file, opened read-only; none if there is no store yet."""
    if not store.database.is_file():
        return []
    name = read_only_name(store.database)
    try:
        with closing(sqlite3.connect(name, uri=True, timeout=_LOCK_TIMEOUT_S)) as connection:
            return connection.execute(query, values).fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):  # created and never migrated
            return []
        raise UserError(f"cannot read the store: {error}", where=str(store.database)) from error
    except sqlite3.DatabaseError as error:
        raise UserError(f"not a tracking store: {error}", where=str(store.database)) from error
