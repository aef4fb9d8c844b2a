"""Which runs a question is about, and their trials."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sweeper.records import TrialRow
from sweeper.store.run_format.record import PRUNED_TAG, RECORD_TAGS, trial_row
from sweeper.store.sql.database import Database

_RUNS = """
SELECT runs.run_uuid, experiments.name, runs.name, runs.start_time, runs.end_time
FROM runs
JOIN experiments ON experiments.experiment_id = runs.experiment_id
JOIN tags AS role ON role.run_uuid = runs.run_uuid AND role.key = 'role' AND role.value = 'trial'
WHERE runs.lifecycle_stage = 'active' AND experiments.lifecycle_stage = 'active'
"""
_ACTIVE = """
SELECT run_uuid, experiment_id, name, start_time, end_time FROM runs
WHERE lifecycle_stage = 'active'
"""
_ROW_TAGS = (
    *RECORD_TAGS,
    PRUNED_TAG,
    "submission",
    "kind",
    "trial_key",
    "state",
    "uncertified",
    "error",
    "reused_from",
)
_AT_ONCE = 1000


class StoredRun(NamedTuple):
    """An active run of a trial."""

    run_id: str
    sweep: str
    name: str
    started_ms: int
    ended_ms: int


def find_runs(
    database: Database,
    *,
    sweeps: Sequence[str] = (),
    keys: Sequence[str] = (),
    run_ids: Sequence[str] = (),
) -> list[StoredRun]:
    """Runs of trials, oldest first: all, or only those of some sweeps, keys or ids."""
    if keys:
        wanted = "SELECT run_uuid FROM tags WHERE key = 'trial_key' AND value IN"
        run_ids = [run_id for (run_id,) in database.select_in(wanted, sorted(set(keys)))]
        if not run_ids:
            return []
    if run_ids:
        rows = list(database.select_in(f"{_RUNS} AND runs.run_uuid IN", sorted(set(run_ids))))
    elif sweeps:
        rows = list(database.select_in(f"{_RUNS} AND experiments.name IN", sorted(set(sweeps))))
    else:
        rows = database.select(_RUNS)
    return [run for run in _as_runs(rows) if not sweeps or run.sweep in sweeps]


def _as_runs(rows: Iterable[tuple[Any, ...]]) -> list[StoredRun]:
    found = [
        StoredRun(run_id, sweep, name or "", int(start or 0), int(end or 0))
        for run_id, sweep, name, start, end in rows
    ]
    return sorted(found, key=lambda run: (run.started_ms, run.run_id))


def active_runs(database: Database, sweeps: Sequence[str] = ()) -> list[StoredRun]:
    """All runs of all sweeps or of some, of trials or not, in no order."""
    named = "SELECT experiment_id, name FROM experiments WHERE lifecycle_stage = 'active'"
    names = dict(database.select(named))
    wanted = [i for i, name in names.items() if not sweeps or name in sweeps]
    query = f"{_ACTIVE} AND experiment_id IN"
    return [
        StoredRun(run_id, names[experiment], name or "", int(start or 0), int(end or 0))
        for run_id, experiment, name, start, end in database.select_in(query, wanted)
    ]


def newest_runs(database: Database, limit: int, sweeps: Sequence[str] = ()) -> list[StoredRun]:
    """The trials that started last, oldest of them first."""
    named = f"AND experiments.name IN ({', '.join('?' * len(sweeps))})" if sweeps else ""
    last = "ORDER BY runs.start_time DESC, runs.run_uuid DESC LIMIT ?"
    return _as_runs(database.select(f"{_RUNS} {named} {last}", [*sweeps, limit]))


def count_trials(database: Database, sweeps: Sequence[str] = ()) -> int:
    """How many trials some sweeps have, or all."""
    named = f"AND experiments.name IN ({', '.join('?' * len(sweeps))})" if sweeps else ""
    [(count,)] = database.select(f"SELECT COUNT(*) FROM ({_RUNS} {named}) AS trials", sweeps)
    return int(count)


def find_beginning(database: Database, text: str) -> list[str]:
    """Ids of the runs whose id or key begins with `text`, deleted ones included."""
    pattern = "".join(f"\\{c}" if c in "\\%_" else c for c in text) + "%"
    query = """
        SELECT run_uuid FROM runs WHERE run_uuid LIKE ? ESCAPE '\\'
        UNION
        SELECT run_uuid FROM tags WHERE key = 'trial_key' AND value LIKE ? ESCAPE '\\'
    """
    return [run_id for (run_id,) in database.select(query, (pattern, pattern))]


def find_with_sources(database: Database) -> list[str]:
    """Ids of the runs that were reused from another one, or whose record names one."""
    query = f"""
        SELECT run_uuid FROM tags WHERE key = 'reused_from' AND value <> ''
        UNION
        SELECT run_uuid FROM tags
        WHERE key IN ({", ".join("?" * len(RECORD_TAGS))}) AND value LIKE ?
    """
    return [run_id for (run_id,) in database.select(query, (*RECORD_TAGS, '%"run:%'))]


def read_rows(database: Database, runs: Sequence[StoredRun]) -> Iterator[TrialRow]:
    """The trials of runs, in their order; only a thousand at a time are in memory.

    Raises:
        UserError: the record or the state of one is damaged.
    """
    for start in range(0, len(runs), _AT_ONCE):
        part = runs[start : start + _AT_ONCE]
        ids = [run.run_id for run in part]
        tags = read_tags(database, ids, _ROW_TAGS)
        metrics = _metrics(database, ids)
        for run in part:
            yield trial_row(
                run.run_id,
                run.sweep,
                run.name,
                tags[run.run_id],
                metrics[run.run_id],
                run.started_ms,
                run.ended_ms,
            )


def read_tags(
    database: Database, run_ids: Sequence[str], names: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Run id -> the tags of these names that the run has."""
    query = f"""
        SELECT run_uuid, key, value FROM tags
        WHERE key IN ({", ".join("?" * len(names))}) AND run_uuid IN
    """
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for run_id, name, value in database.select_in(query, run_ids, names):
        found[run_id][name] = value or ""
    return found


def _metrics(database: Database, run_ids: Sequence[str]) -> dict[str, dict[str, float]]:
    query = "SELECT run_uuid, key, value, is_nan FROM latest_metrics WHERE run_uuid IN"
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for run_id, name, value, is_nan in database.select_in(query, run_ids):
        found[run_id][name] = float("nan") if is_nan else float(value)
    return found
