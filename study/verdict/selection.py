"""The trials that a verdict reads."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from sweeper.records import TrialRow, TrialState
from sweeper.store.results import one_per_key
from sweeper.store.versions import Standing, same_config, same_names, standing


def complete(rows: Iterable[TrialRow], *kinds: str) -> list[TrialRow]:
    """The trials of these kinds that ended, each key once though several sweeps declare it.

    Of one config the newest stand, where an input was replaced or the kind has a new version.
    """
    return newest(rows, *kinds).rows


def newest(rows: Iterable[TrialRow], *kinds: str) -> Standing:
    """`complete`, and how many trials it left out."""
    ended = (r for r in rows if r.kind in kinds and r.state is TrialState.COMPLETE)
    first = standing(one_per_key(ended))
    then = standing(first.rows, _read_together)
    return Standing(
        then.rows, first.n_earlier_inputs + then.n_earlier_inputs, first.n_earlier_kinds
    )


def _read_together(row: TrialRow) -> Hashable:
    """Trials on one matrix that make a curve over their penalties, real or null.

    Trainings make none: those on another text are a world of their own.
    """
    if "source" not in row.params:
        return same_config(row)
    return row.kind_version, same_names(row, apart=("null",))
