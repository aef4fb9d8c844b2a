"""What the commands ask of a store that only answers through MLflow's API."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from sweeper.records import TrialRow
from sweeper.store.location import Store
from sweeper.store.tracking.results import Results

_FEW = 20  # keys that are asked for one by one
_AT_ONCE = 200
_PLAIN = re.compile(r"[\w.: -]+")


class ApiReader:
    """Reads a tracking server page by page, and only the runs that a question is about.

    It gives the same answers as `SqlReader`. Raises UserError where the store does not answer.
    """

    def __init__(self, store: Store) -> None:
        self.store, self.results = store, Results(store)

    def sweep_names(self) -> list[str]:
        """Names of the sweeps that the store holds."""
        return self.results.sweep_names()

    def rows(self, sweeps: Sequence[str] = (), keys: Sequence[str] = ()) -> list[TrialRow]:
        """Trials of the named sweeps (all sweeps when none is named), oldest first."""
        wanted = set(keys)
        if not wanted or len(wanted) > _FEW or not all(map(_is_plain, wanted)):
            return self.results.rows(sweeps, keys)
        return self._any_of([f"tags.trial_key = '{key}'" for key in wanted], sweeps)

    def stream(self, sweeps: Sequence[str] = (), keys: Sequence[str] = ()) -> Iterator[TrialRow]:
        """`rows`, one after the other."""
        return iter(self.rows(sweeps, keys))

    def light_rows(
        self, metrics: Collection[str], *, sweeps: Sequence[str] = (), kinds: Collection[str] = ()
    ) -> list[TrialRow]:
        """`rows` of some kinds, which have at least these metrics."""
        plain = [f"tags.kind = '{kind}'" for kind in kinds if _is_plain(kind)]
        return self._any_of(plain, sweeps) if kinds else self.rows(sweeps)

    def newest(self, limit: int, sweeps: Sequence[str] = ()) -> tuple[list[TrialRow], int | None]:
        """The trials that started last, oldest of them first, and how many trials there are.

        None if there are more: a server does not count them.
        """
        rows = self.results.matching("", sweeps, n_newest=limit + 1)
        return rows[-limit:], len(rows) if len(rows) <= limit else None

    def of_runs(self, run_ids: Sequence[str]) -> Iterator[TrialRow]:
        """The trials of these runs in the given order, some at a time."""
        plain = [run_id for run_id in run_ids if _is_plain(run_id)]
        for start in range(0, len(plain), _AT_ONCE):
            part = plain[start : start + _AT_ONCE]
            listed = ", ".join(f"'{run_id}'" for run_id in part)
            rows = self.results.matching(f"attributes.run_id IN ({listed})")
            by_run = {row.run_id: row for row in rows}
            yield from (by_run[run_id] for run_id in part if run_id in by_run)

    def beginning_with(self, text: str) -> list[TrialRow]:
        """Trials whose run id or key begins with `text`."""
        if not _is_plain(text):
            return []
        fields = ("attributes.run_id", "tags.trial_key")
        rows = self._any_of([f"{field} LIKE '{text}%'" for field in fields])
        # In such a filter `_` stands for any character.
        return [row for row in rows if row.run_id.startswith(text) or row.key.startswith(text)]

    def _any_of(self, filters: Sequence[str], sweeps: Sequence[str] = ()) -> list[TrialRow]:
        found = {row.run_id: row for each in filters for row in self.results.matching(each, sweeps)}
        return sorted(found.values(), key=lambda row: (row.started_ms, row.run_id))


def _is_plain(text: str) -> bool:
    """Whether a text can stand in quotes in a filter of MLflow's."""
    return bool(_PLAIN.fullmatch(text))
