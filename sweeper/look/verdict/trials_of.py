"""The trials that a verdict reads."""

from __future__ import annotations

from collections.abc import Iterable

from sweeper.records import TrialRow, TrialState
from sweeper.store.results import one_per_key


def complete(rows: Iterable[TrialRow], *kinds: str) -> list[TrialRow]:
    """The trials of these kinds that ended, each key once though several sweeps declare it."""
    ended = (r for r in rows if r.kind in kinds and r.state is TrialState.COMPLETE)
    return one_per_key(ended)
