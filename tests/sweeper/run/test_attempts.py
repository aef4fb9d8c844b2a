"""Attempts: retried with back-off, limited in time, started while there is budget."""

from __future__ import annotations

import signal
from collections import deque
from pathlib import Path
from typing import Any

import pytest

from sweeper.declare.sweep_file import Limits
from sweeper.records import Outcome, TrialSpec, TrialState
from sweeper.run.driver.attempts import Attempts
from sweeper.run.driver.budget import Spent
from sweeper.run.driver.interrupts import Interrupts
from sweeper.store.journal import Abandoned

DEATH = ("the worker died", "killed")


class Feed:
    """A feed of trials that are named by a letter."""

    may_stop = False

    def __init__(self, keys: str, checkpoint_root: Path) -> None:
        self._specs = {key: spec(key) for key in keys}
        self._ready = deque(self._specs.values())
        self._root = checkpoint_root
        self.started_keys: list[str] = []
        self.outcomes: list[Outcome] = []
        self.had_checkpoint: list[bool] = []

    def next(self) -> TrialSpec | None:
        return self._ready.popleft() if self._ready else None

    @property
    def exhausted(self) -> bool:
        return not self._ready

    def spec(self, key: str) -> TrialSpec:
        return self._specs[key]

    def started(self, key: str) -> None:
        self.started_keys.append(key)

    def finished(self, outcome: Outcome) -> None:
        self.had_checkpoint.append((self._root / outcome.key).exists())
        self.outcomes.append(outcome)


def spec(key: str) -> TrialSpec:
    return TrialSpec(key=key, kind="bowl", kind_version=1, config={}, input_digests={})


class Bench:
    """Attempts with everything around them faked."""

    def __init__(self, root: Path, keys: str = "ab", **options: Any) -> None:
        self.now = 0.0
        self.root = root
        self.feed = Feed(keys, root)
        self.events: list[Any] = []
        self.interrupts = Interrupts(lambda: self.now)
        limits = Limits(**options.pop("limits", {}))
        self.attempts = Attempts(
            self.feed,  # type: ignore[arg-type]
            limits,
            interrupts=self.interrupts,
            emit=self.events.append,
            checkpoint_root=root,
            clock=lambda: self.now,
            **options,
        )

    def start(self) -> str:
        trial = self.attempts.next()
        assert trial is not None
        (self.root / trial.key).mkdir(exist_ok=True)
        self.attempts.started(trial.key)
        return trial.key

    def finish(self, key: str) -> None:
        self.attempts.finished(Outcome(key=key, state=TrialState.COMPLETE))

    def ctrl_c(self) -> None:
        self.now += 1
        self.interrupts.receive(signal.SIGINT)


def test_a_trial_whose_worker_died_waits_and_is_tried_again_while_others_go_on(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, limits={"retries": 2})
    assert bench.start() == "a"
    bench.attempts.died("a", *DEATH)
    assert bench.start() == "b"
    assert bench.attempts.next() is None
    assert not bench.attempts.exhausted
    bench.now += 2
    assert bench.start() == "a"
    bench.attempts.died("a", *DEATH)
    bench.now += 2
    assert bench.attempts.next() is None, "the second wait is longer"
    bench.now += 2
    assert bench.start() == "a"
    assert bench.feed.started_keys == ["a", "b", "a", "a"]
    assert [event.reason for event in bench.events] == [
        "the worker died: killed; attempt 2 of 3 in 2 s",
        "the worker died 2 times: killed; attempt 3 of 3 in 4 s",
    ]


def test_after_the_last_attempt_a_trial_has_failed_with_its_reason(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "a", limits={"retries": 1})
    for _ in range(2):
        bench.start()
        bench.attempts.died("a", *DEATH)
        bench.now += 60
    (outcome,) = bench.feed.outcomes
    assert outcome.state is TrialState.FAILED
    assert outcome.error == "the worker died 2 times: killed"
    assert bench.attempts.exhausted


def test_a_running_trial_may_still_be_tried_again_so_nothing_is_exhausted(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "a")
    bench.start()
    assert not bench.attempts.exhausted
    bench.finish("a")
    assert bench.attempts.exhausted


def test_a_checkpoint_outlives_its_attempt_and_goes_after_the_outcome_is_kept(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, "a")
    bench.start()
    bench.attempts.died("a", *DEATH)
    assert (tmp_path / "a").exists()
    bench.now += 2
    bench.start()
    bench.finish("a")
    assert bench.feed.had_checkpoint == [True]
    assert not (tmp_path / "a").exists()


def test_a_checkpoint_that_a_dead_driver_did_not_remove_goes_at_the_next_start(
    tmp_path: Path,
) -> None:
    for key in "ab":
        (tmp_path / key).mkdir()
    Bench(tmp_path, "b", spent=Spent(finished=frozenset("a")))
    assert [folder.name for folder in tmp_path.iterdir()] == ["b"]


def test_the_time_limit_holds_for_all_attempts_together(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "a", limits={"trial_timeout_s": 10})
    bench.start()
    bench.now += 7
    bench.attempts.died("a", *DEATH)
    bench.now += 1000  # waiting is no execution
    bench.start()
    bench.now += 2
    assert not list(bench.attempts.condemned())
    bench.now += 2
    assert list(bench.attempts.condemned()) == ["a"]
    bench.attempts.died("a", *DEATH)
    assert bench.feed.outcomes[0].error == "time limit of 10 s exceeded"
    assert bench.attempts.exhausted, "it is not tried again"


def test_the_time_limit_counts_what_earlier_drivers_spent_on_the_trial(tmp_path: Path) -> None:
    spent = Spent(total_s=9, unfinished_s={"a": 9})
    bench = Bench(tmp_path, "a", limits={"trial_timeout_s": 10}, spent=spent)
    bench.start()
    bench.now += 2
    assert list(bench.attempts.condemned()) == ["a"]


def test_a_spent_budget_starts_nothing_more_and_lets_running_trials_finish(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "abc", limits={"budget_trial_hours": 1})
    bench.start()
    bench.now += 1800
    bench.start()
    bench.now += 1000
    assert bench.attempts.next() is None, "running trials count: 2800 s and 1000 s"
    assert bench.attempts.exhausted
    assert not list(bench.attempts.condemned())
    for key in "ab":
        bench.finish(key)
    assert bench.attempts.ending(n_left=1) == (
        4,
        "budget_trial_hours 1 is spent (1.06), 1 trial left to run; raise the budget and rerun to "
        "resume",
    )
    assert bench.attempts.ending(n_left=0).exit_code == 0, "nothing was kept from running"


def test_a_budget_is_the_sweeps_over_all_its_drivers(tmp_path: Path) -> None:
    limits = {"budget_gpu_hours": 2}
    bench = Bench(tmp_path, limits=limits, gpu=0.5, spent=Spent(total_s=4 * 3600))
    assert bench.attempts.next() is None
    assert bench.attempts.ending(2).exit_code == 4


def test_the_first_ctrl_c_starts_nothing_more(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.start()
    bench.ctrl_c()
    assert bench.attempts.next() is None
    assert bench.attempts.exhausted
    assert not bench.attempts.stopping
    said = "finishing 1 running trial; Ctrl-C again stops them"
    assert bench.attempts.standing() == said
    bench.finish("a")
    assert bench.attempts.standing() == "no trial is running; ending"
    assert bench.attempts.ending(1).exit_code == 130


def test_a_worker_that_dies_while_the_sweep_finishes_leaves_its_trial_for_the_next_time(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, "a")
    bench.start()
    bench.ctrl_c()
    bench.attempts.died("a", *DEATH)
    assert bench.feed.outcomes == []
    assert [event.reason for event in bench.events] == ["the worker died: killed"]


@pytest.mark.parametrize("retries", [0, 2])
def test_an_interrupted_trial_has_not_failed_and_keeps_its_checkpoint(
    tmp_path: Path, retries: int
) -> None:
    bench = Bench(tmp_path, "ab", limits={"retries": retries})
    bench.start()
    bench.start()
    bench.ctrl_c()
    bench.ctrl_c()
    assert bench.attempts.stopping
    bench.attempts.interrupted("a")  # it wrote its checkpoint
    assert not list(bench.attempts.condemned())
    bench.now += 6
    assert list(bench.attempts.condemned()) == ["b"]
    bench.attempts.died("b", *DEATH)  # by our hand
    assert bench.feed.outcomes == []
    assert bench.events == [
        Abandoned(key="a", reason="interrupted", attempt_s=2, at_ms=bench.events[0].at_ms),
        Abandoned(key="b", reason="interrupted", attempt_s=8, at_ms=bench.events[1].at_ms),
    ]
    assert all((tmp_path / key).exists() for key in "ab")
    assert bench.attempts.idle
