"""Which trials a store holds, and which were deleted, read in milliseconds.

Opening the tracking store through its client costs seconds (imports, migrations). `plan` and the
start of `run` only need keys, states and times, so they ask the database directly, read-only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from sweeper.errors import UserError
from sweeper.records import Deleted, TrialState
from sweeper.store.location import Store
from sweeper.store.opening import open_reader, open_results
from sweeper.store.sql.database import is_readable, open_database

_NO_TABLE = re.compile(r"cannot read the store: (?:no such table|relation \S+ does not exist)")
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
    if not is_readable(store):
        rows = open_reader(store).rows()
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
    if not is_readable(store):
        return open_results(store).deleted(sweep)
    stages = _select(store, _EXPERIMENT, [sweep])
    keys = _select(store, _DELETED_TRIALS, [sweep])
    half_removed = bool(_select(store, _HALF_REMOVED, [sweep, sweep]))
    return Deleted(("deleted",) in stages, frozenset(key for (key,) in keys), half_removed)


def _select(store: Store, query: str, values: Sequence[str] = ()) -> list[tuple[Any, ...]]:
    """Rows of the store's database; none if there is no store yet."""
    if store.is_local_file and not store.database.is_file():
        return []
    try:
        with open_database(store) as database:
            return database.select(query, values)
    except UserError as error:
        if _NO_TABLE.match(error.what):  # created and never migrated
            return []
        raise
