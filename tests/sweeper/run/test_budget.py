"""What a sweep has spent, read from its journal."""

from __future__ import annotations

import pytest

from sweeper.declare.sweep_file import Limits
from sweeper.records import Outcome, TrialState
from sweeper.run.driver.budget import over_budget, spent
from sweeper.store.journal import Abandoned, Event, Finished, Reported, Started


def started(key: str, at_s: int) -> Event:
    return Started(key=key, at_ms=1000 * at_s)


def reported(key: str, at_s: int) -> Event:
    return Reported(key=key, step=1, metrics={}, at_ms=1000 * at_s)


def finished(key: str, from_s: int, to_s: int) -> Event:
    state = TrialState.COMPLETE
    return Finished(
        outcome=Outcome(key=key, state=state, started_ms=1000 * from_s, ended_ms=1000 * to_s)
    )


def test_every_attempt_counts_and_finished_trials_owe_nothing() -> None:
    events = [
        started("a", 0),
        Abandoned(key="a", reason="the worker died", attempt_s=7),
        started("a", 10),
        finished("a", 10, 30),
        started("b", 5),
        Abandoned(key="b", reason="interrupted", attempt_s=4),
    ]
    sum_ = spent(events)
    assert sum_.total_s == 7 + 20 + 4
    assert sum_.unfinished_s == {"b": 4}
    assert sum_.finished == {"a"}


def test_an_attempt_that_ended_with_its_driver_counts_up_to_its_last_report() -> None:
    events = [started("a", 0), reported("a", 6), started("a", 5000), reported("a", 5003)]
    assert spent(events).unfinished_s == {"a": 6 + 3}
    # A later driver says so much later: the time between was no attempt.
    assert spent([*events, Abandoned(key="a", reason="", at_ms=9_000_000)]).total_s == 9


def test_a_trial_that_runs_again_is_not_finished_any_more() -> None:
    sum_ = spent([started("a", 0), finished("a", 0, 10), started("a", 20), reported("a", 25)])
    assert sum_.finished == set()
    assert (sum_.total_s, sum_.unfinished_s) == (15, {"a": 5})


@pytest.mark.parametrize(
    ("limits", "gpu", "said"),
    [
        (Limits(), 1.0, ""),
        (Limits(budget_trial_hours=2), 0.0, ""),
        (Limits(budget_trial_hours=1), 0.0, "budget_trial_hours 1 is spent (1.5)"),
        (Limits(budget_gpu_hours=1), 0.0, ""),
        (Limits(budget_gpu_hours=1), 0.5, ""),
        (Limits(budget_gpu_hours=1), 2.0, "budget_gpu_hours 1 is spent (3)"),
    ],
)
def test_a_budget_is_spent_when_its_hours_are(limits: Limits, gpu: float, said: str) -> None:
    assert over_budget(limits, 1.5 * 3600, gpu) == said
