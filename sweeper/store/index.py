"""Which trials a local store holds, read in milliseconds.

Opening the tracking store through its client costs seconds (imports, migrations); `plan` and the
start of `run` only need keys, states and times. A SQLite store is asked directly, read-only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from sweeper.errors import UserError
from sweeper.records import TrialState
from sweeper.store.location import Store
from sweeper.store.sqlite_file import read_only_name

_PATIENCE_S = 120.0  # with who locks it: a writer of ours is done in seconds
_QUERY = """
SELECT key.value, state.value, experiments.name, runs.start_time, runs.end_time, kind.value,
    runs.run_uuid
FROM runs
JOIN experiments USING (experiment_id)
JOIN tags AS key ON key.run_uuid = runs.run_uuid AND key.key = 'trial_key'
JOIN tags AS state ON state.run_uuid = runs.run_uuid AND state.key = 'state'
JOIN tags AS kind ON kind.run_uuid = runs.run_uuid AND kind.key = 'kind'
WHERE runs.lifecycle_stage = 'active'
"""


class Glimpse(NamedTuple):
    """A stored trial, as far as planning needs it; `ended_ms` is 0 while it runs."""

    key: str
    state: TrialState
    sweep: str
    kind: str
    duration_s: float
    run_id: str = ""
    ended_ms: int = 0


def peek(store: Store) -> list[Glimpse]:
    """Every trial of the store; empty if there is no store yet.

    Raises:
        UserError: the file is no tracking store.
    """
    if not store.is_local_file:
        return _through_client(store)
    if not store.database.is_file():
        return []
    try:
        found = ask(store.database, _QUERY)
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):  # created and never migrated
            return []
        raise UserError(f"cannot read the store: {error}", where=str(store.database)) from error
    except sqlite3.DatabaseError as error:
        raise UserError(f"not a tracking store: {error}", where=str(store.database)) from error
    return [
        Glimpse(
            key,
            TrialState(state),
            sweep,
            kind,
            max(0, (end or 0) - (start or 0)) / 1000,
            run,
            end or 0,
        )
        for key, state, sweep, start, end, kind, run in found
        if state in set(TrialState)  # one that fsck must mend is none that can be reused
    ]


def ask(database: Path, query: str, values: Sequence[str] = ()) -> list[tuple[Any, ...]]:
    """Rows of a SQLite file, read without a way to change it."""
    with closing(
        sqlite3.connect(read_only_name(database), uri=True, timeout=_PATIENCE_S)
    ) as connection:
        return connection.execute(query, values).fetchall()


def _through_client(store: Store) -> list[Glimpse]:
    from sweeper.store.tracking import Tracking

    return [
        Glimpse(row.key, row.state, row.sweep, row.kind, row.duration_s, row.run_id, row.ended_ms)
        for row in Tracking(store).rows()
    ]
