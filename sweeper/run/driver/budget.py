"""What a sweep has spent, over all its drivers, and whether that is all it may."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sweeper.declare.sweep_file import Limits
from sweeper.store.journal import Abandoned, Event, Finished, Reported, Started


class Spent(NamedTuple):
    """Wall time of attempts at the trials of a sweep.

    Attributes:
        total_s: of all attempts.
        unfinished_s: by key, of the attempts at a trial since it last had an outcome.
        finished: keys of the trials that have an outcome, and no attempt since.
    """

    total_s: float = 0.0
    unfinished_s: Mapping[str, float] = {}
    finished: frozenset[str] = frozenset()


def spent(events: Iterable[Event]) -> Spent:
    """What a journal accounts for.

    An attempt that ended with its driver counts up to its last report.
    """
    total_s = 0.0
    unfinished_s: dict[str, float] = {}
    under_way: dict[str, tuple[int, int]] = {}  # key -> first and last sign of life, ms
    finished: set[str] = set()

    def charge(key: str, attempt_s: float | None = None) -> None:
        nonlocal total_s
        begun_ms, last_ms = under_way.pop(key, (0, 0))
        attempt_s = (last_ms - begun_ms) / 1000 if attempt_s is None else attempt_s
        total_s += attempt_s
        unfinished_s[key] = unfinished_s.get(key, 0.0) + attempt_s

    for event in events:
        match event:
            case Started(key=key, at_ms=at_ms):
                charge(key)  # of an attempt whose end nobody saw
                under_way[key] = at_ms, at_ms
                finished.discard(key)
            case Reported(key=key, at_ms=at_ms) if key in under_way:
                under_way[key] = under_way[key][0], at_ms
            case Abandoned(key=key, attempt_s=attempt_s):
                charge(key, attempt_s)
            case Finished(outcome=outcome):
                charge(outcome.key, (outcome.ended_ms - outcome.started_ms) / 1000)
                del unfinished_s[outcome.key]
                finished.add(outcome.key)
    for key in list(under_way):
        charge(key)
    return Spent(total_s, unfinished_s, frozenset(finished))


def over_budget(limits: Limits, spent_s: float, gpu: float) -> str:
    """Which budget is spent by `spent_s` seconds of trials with `gpu` GPUs each; "" if none."""
    hours = spent_s / 3600
    for name, budget, used in (
        ("budget_trial_hours", limits.budget_trial_hours, hours),
        ("budget_gpu_hours", limits.budget_gpu_hours, hours * gpu),
    ):
        if budget is not None and used >= budget:
            return f"{name} {budget:g} is spent ({used:.3g})"
    return ""
