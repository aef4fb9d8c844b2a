"""What the commands ask of a store whose database can be read directly."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from sweeper.records import TrialRow
from sweeper.store.location import Store
from sweeper.store.sql.database import open_database
from sweeper.store.sql.light_rows import read_light_rows
from sweeper.store.sql.trials import (
    count_trials,
    find_beginning,
    find_runs,
    find_with_sources,
    newest_runs,
    read_rows,
)

_AT_ONCE = 1000
_SWEEPS = """
SELECT name FROM experiments WHERE lifecycle_stage = 'active' AND name <> 'Default' ORDER BY name
"""
_KINDS = "SELECT DISTINCT value FROM tags WHERE key = 'kind'"


class SqlReader:
    """Reads a store in SQLite or PostgreSQL; each call sees one moment of it.

    Raises UserError where the database cannot be read.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    def sweep_names(self) -> list[str]:
        """Names of the sweeps that the store holds."""
        with open_database(self.store) as database:
            return [name for (name,) in database.select(_SWEEPS)]

    def rows(self, sweeps: Sequence[str] = (), keys: Sequence[str] = ()) -> list[TrialRow]:
        """Trials of the named sweeps (all sweeps when none is named), oldest first."""
        return list(self.stream(sweeps, keys))

    def light_rows(
        self, metrics: Collection[str], *, sweeps: Sequence[str] = (), kinds: Collection[str] = ()
    ) -> list[TrialRow]:
        """`rows` of some kinds with only these metrics; see `read_light_rows`."""
        with open_database(self.store) as database:
            return read_light_rows(database, metrics, kinds=kinds, sweeps=sweeps)

    def stream(self, sweeps: Sequence[str] = (), keys: Sequence[str] = ()) -> Iterator[TrialRow]:
        """`rows`, of which only a thousand at a time are in memory."""
        with open_database(self.store) as database:
            yield from read_rows(database, find_runs(database, sweeps=sweeps, keys=keys))

    def newest(self, limit: int, sweeps: Sequence[str] = ()) -> tuple[list[TrialRow], int | None]:
        """The trials that started last, oldest of them first, and how many trials there are."""
        with open_database(self.store) as database:
            rows = list(read_rows(database, newest_runs(database, limit, sweeps)))
            n_all = count_trials(database, sweeps) if len(rows) == limit else len(rows)
        return rows, n_all

    def of_runs(self, run_ids: Sequence[str]) -> Iterator[TrialRow]:
        """The trials of these runs in the given order, a thousand at a time."""
        with open_database(self.store) as database:
            for start in range(0, len(run_ids), _AT_ONCE):
                part = run_ids[start : start + _AT_ONCE]
                rows = read_rows(database, find_runs(database, run_ids=part))
                by_run = {row.run_id: row for row in rows}
                yield from (by_run[run_id] for run_id in part if run_id in by_run)

    def beginning_with(self, text: str) -> list[TrialRow]:
        """Trials whose run id or key begins with `text`."""
        with open_database(self.store) as database:
            if run_ids := find_beginning(database, text):
                return list(read_rows(database, find_runs(database, run_ids=run_ids)))
        return []

    def rows_with_sources(self) -> list[TrialRow]:
        """Trials that were reused, or whose config names runs that they read."""
        with open_database(self.store) as database:
            if run_ids := find_with_sources(database):
                return list(read_rows(database, find_runs(database, run_ids=run_ids)))
        return []

    def kind_names(self) -> list[str]:
        """Names of the kinds that have trials here."""
        with open_database(self.store) as database:
            return [name for (name,) in database.select(_KINDS)]
