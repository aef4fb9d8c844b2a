"""What a set of trials says at a glance: how many of each, which varied, which is best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

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


def best_trial(rows: Sequence[TrialRow], kind: TrialKind) -> TrialRow | None:
    """The trusted trial with the best objective, nulls aside; the earliest of equals."""
    sign = -1 if kind.metric(kind.objective).direction == "maximise" else 1
    candidates = [
        (sign * value, row.started_ms, row.key, row)
        for row in rows
        if is_trusted(row)
        and not row.is_control
        and math.isfinite(value := row.metrics.get(kind.objective, math.nan))
    ]
    return min(candidates, key=lambda candidate: candidate[:3])[3] if candidates else None


def headline_metrics(kind: TrialKind) -> tuple[str, ...]:
    """The objective, and what real and null are compared on."""
    names = [kind.objective]
    if kind.control:
        names += [kind.control.of, kind.control.at]
    return tuple(dict.fromkeys(names))


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
