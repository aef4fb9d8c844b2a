"""What a set of trials says at a glance: how many of each, which varied, which is best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sweeper.declare.best import Best
from sweeper.declare.search import Search
from sweeper.look.words import number, spaced
from sweeper.records import Scalar, TrialRow, TrialState
from trials.api import TrialKind


@dataclass(frozen=True)
class Counts:
    """How many trials stand where; `uncertified` and `controls` count among the complete."""

    total: int
    complete: int
    failed: int
    pruned: int
    unfinished: int
    uncertified: int
    controls: int


def count(rows: Sequence[TrialRow]) -> Counts:
    """Count trials by state."""
    complete = [row for row in rows if row.state is TrialState.COMPLETE]
    n = {state: sum(row.state is state for row in rows) for state in TrialState}
    return Counts(
        total=len(rows),
        complete=len(complete),
        failed=n[TrialState.FAILED],
        pruned=n[TrialState.PRUNED],
        unfinished=n[TrialState.WAITING] + n[TrialState.RUNNING],
        uncertified=sum(bool(row.uncertified) for row in complete),
        controls=sum(row.is_control for row in complete),
    )


def is_trusted(row: TrialRow) -> bool:
    """Complete and certified: its numbers may be compared."""
    return row.state is TrialState.COMPLETE and not row.uncertified


def best_trials(rows: Sequence[TrialRow], search: Search) -> Best[TrialRow]:
    """The best of the trusted trials, nulls aside; the earliest of equals."""
    best: Best[TrialRow] = Best(search)
    for row in sorted(rows, key=lambda row: (row.started_ms, row.key)):
        if is_trusted(row) and not row.is_control:
            best.offer(row, row.metrics)
    return best


def chosen_by(row: TrialRow, search: Search) -> str:
    """`fvu validation 0.31, bits validation 60.2`: the objectives of a trial."""
    return ", ".join(
        f"{spaced(o.metric)} {number(row.metrics[o.metric])}" for o in search.objectives
    )


def headline_metrics(kind: TrialKind, search: Search) -> tuple[str, ...]:
    """What trials are chosen by, and what real and null are compared on; each once."""
    chosen_by = [*(objective.metric for objective in search.objectives), *search.constraints]
    return tuple(dict.fromkeys([*chosen_by, *(kind.control.metrics if kind.control else ())]))


def varying_fields(rows: Sequence[TrialRow], kind: TrialKind) -> tuple[str, ...]:
    """Config fields with more than one value among the trials, in the order of the config."""
    declared = list(kind.config.model_fields)
    others = sorted({name for row in rows for name in row.params} - set(declared))
    return tuple(
        name
        for name in (*declared, *others)
        if len({_typed(row.params.get(name)) for row in rows}) > 1
    )


def _typed(value: Scalar) -> tuple[str, Scalar]:
    return type(value).__name__, value  # True is not 1, and 1 is not 1.0
