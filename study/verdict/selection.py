"""Which trials a verdict reads."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from sweeper.records import TrialRow, TrialState
from sweeper.store.versions import Standing, one_per_key, same_config, same_names, standing


def complete_trials(rows: Iterable[TrialRow], *kinds: str) -> list[TrialRow]:
    """The complete trials of these kinds, each key once even if several sweeps declare it.

    Where an input was replaced, or the kind has a new version, the newest of a config count.
    """
    return newest_trials(rows, *kinds).rows


def newest_trials(rows: Iterable[TrialRow], *kinds: str) -> Standing:
    """`complete_trials`, and how many it left out."""
    ended = (r for r in rows if r.kind in kinds and r.state is TrialState.COMPLETE)
    first = standing(one_per_key(ended))
    then = standing(first.rows, _read_together)
    return Standing(
        then.rows, first.n_earlier_inputs + then.n_earlier_inputs, first.n_earlier_kinds
    )


def _read_together(row: TrialRow) -> Hashable:
    """Groups trials on one matrix, real and null, that form a curve over their penalties.

    A training is on its own: trainings on different texts are never compared.
    """
    if "source" not in row.params:
        return same_config(row)
    return row.kind_version, same_names(row, apart=("null",))
