"""The time left counts what the service itself spends between trials."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from sweeper.declare.loading import load_sweep
from sweeper.records import Outcome, TrialSpec, TrialState
from sweeper.run.driver import progress as progress_module
from sweeper.run.driver.progress import Progress
from sweeper.run.inprocess import InProcessRunner
from sweeper.run.plan import make_plan, service_s
from sweeper.run.slots import slots_here
from sweeper.store.index import StoredTrial
from sweeper.store.journal import Finished, Started, Suggested


def stored(n_slots: int, n_trials: int, trial_s: float, gap_s: float) -> list[StoredTrial]:
    """Trials of one sweep: in each slot one every `trial_s + gap_s`, the slots out of step."""
    every_s = trial_s + gap_s
    ends = [
        (n // n_slots) * every_s + trial_s + every_s * (n % n_slots) / n_slots
        for n in range(n_trials)
    ]
    return [
        StoredTrial(
            str(n), TrialState.COMPLETE, "earlier", "bowl", trial_s, "", 1000 + round(1000 * end)
        )
        for n, end in enumerate(ends)
    ]


@pytest.mark.parametrize("n_slots", [1, 2, 7])
def test_the_time_between_trials_is_shared_by_those_that_run_at_once(n_slots: int) -> None:
    assert service_s(stored(n_slots, 60, 5.0, 0.7)) == pytest.approx(0.7 / n_slots, abs=0.005)
    assert service_s(stored(1, 60, 0.02, 0.16)) == pytest.approx(0.16, abs=0.005)
    assert service_s([]) == 0


def test_two_sessions_of_a_sweep_are_no_gap_between_trials() -> None:
    first = stored(2, 30, 1.0, 0.1)
    later = [
        trial._replace(key=f"{trial.key}b", ended_ms=trial.ended_ms + 10**8) for trial in first
    ]
    assert service_s([*first, *later]) == pytest.approx(0.05, abs=0.005)


def test_trials_of_no_work_are_foreseen_in_the_time_that_the_service_takes(
    write_sweep: Callable[..., Path],
) -> None:
    text = "kind: bowl\nspace: {x: {low: -2.0, high: 2.0}}\nsearch: random\ntrials: 2000\n"
    sweep = load_sweep(str(write_sweep(text)))
    n_slots = slots_here(sweep.resources)
    plan = make_plan(sweep, stored(n_slots, 200, 0.018, 0.09 * n_slots - 0.018))
    assert plan.expected_s == pytest.approx(2000 * 0.09, rel=0.15)


def test_the_time_left_counts_the_time_between_trials(
    write_sweep: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trials of 10 ms that come every 0.5 s, one at a time."""
    sweep = load_sweep(str(write_sweep("kind: bowl\nspace: {x: [0.0, 1.0]}\n")))
    clock = itertools.count(100.0, 0.25)  # each event half of the time to the next trial
    now = [100.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    said = io.StringIO()
    progress = Progress(
        Console(file=said, width=300), sweep, n_total=1000, n_existing=0, runner=InProcessRunner()
    )
    for n in range(10):
        spec = TrialSpec(
            key=str(n),
            kind="bowl",
            kind_version=1,
            config={"x": n, "seed": 0},
            input_digests={},
            varied=("x",),
        )
        progress.on_event(Suggested(spec=spec))
        now[0] = next(clock)
        progress.on_event(Started(key=spec.key))
        now[0] = next(clock)
        outcome = Outcome(key=spec.key, state=TrialState.COMPLETE, started_ms=0, ended_ms=10)
        progress.on_event(Finished(outcome=outcome))
    found = re.findall(r"(\d+):(\d+) left", said.getvalue())[-1]
    left_s = 60 * int(found[0]) + int(found[1])
    assert left_s == pytest.approx(990 * 0.5, rel=0.1)
