"""What of a sweep was deleted in MLflow: it lies in MLflow's bin until `mlflow gc`."""

from __future__ import annotations

import sqlite3

from sweeper.errors import UserError
from sweeper.records import Deleted
from sweeper.store.location import Store
from sweeper.store.index import ask

_EXPERIMENT = "SELECT lifecycle_stage FROM experiments WHERE name = ?"
_ENDED_TRIALS = """
SELECT key.value
FROM runs
JOIN experiments USING (experiment_id)
JOIN tags AS key ON key.run_uuid = runs.run_uuid AND key.key = 'trial_key'
JOIN tags AS state ON state.run_uuid = runs.run_uuid AND state.key = 'state'
WHERE experiments.name = ? AND runs.lifecycle_stage = 'deleted'
AND state.value IN ('COMPLETE', 'PRUNED', 'FAILED')
"""


def find_deleted(store: Store, sweep: str) -> Deleted:
    """What of `sweep` was deleted. A SQLite store is asked directly, in milliseconds.

    Raises:
        UserError: the store does not answer.
    """
    if not store.is_local_file:
        from sweeper.store.tracking import Tracking

        return Tracking(store).deleted(sweep)
    if not store.database.is_file():
        return Deleted()
    try:
        stages = ask(store.database, _EXPERIMENT, [sweep])
        keys = ask(store.database, _ENDED_TRIALS, [sweep])
    except sqlite3.Error as error:
        if "no such table" in str(error):  # created and never migrated
            return Deleted()
        raise UserError(f"cannot read the store: {error}", where=str(store.database)) from error
    return Deleted(("deleted",) in stages, frozenset(key for (key,) in keys))
