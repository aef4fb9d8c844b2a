"""One contract, every runner."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweeper.errors import UserError
from sweeper.records import TrialState
from sweeper.run.driver.drive import SweepRun
from sweeper.run.inprocess import InProcessRunner
from sweeper.run.plan import Retry
from sweeper.run.tune_runner import TuneRunner
from sweeper.store.tracking import Tracking
from trials import load_kind

GRID = """
kind: bowl
space:
  x: {low: -1.0, high: 1.0, points: 3}
  "null": [none, flat]
seeds: [0, 1]
"""

FATES = """
kind: bowl
space:
  fate: [well, raise, refuse, undeclared, nan, uncertified]
"""


def test_a_sweep_runs_every_trial_once_and_a_second_run_none(
    run: Callable[..., SweepRun], make_runner: Callable[[], Any], tmp_path: Path, tracking: Tracking
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    text = f"{GRID}\nfixed: {{marks: {marks}}}\n"
    first = run(text, make_runner())
    assert (first.n_run, len(first.rows), first.n_unshipped) == (12, 12, 0)
    assert all(row.state is TrialState.COMPLETE for row in first.rows)
    again = run(text, make_runner())
    assert (again.n_run, len(again.rows)) == (0, 12)
    assert len(list(marks.iterdir())) == 12
    stored = tracking.results.rows()
    assert {row.key for row in stored} == {row.key for row in first.rows}
    assert len(stored) == 12
    assert {row.key: row.metrics for row in again.rows} == {row.key: row.metrics for row in stored}


def test_both_runners_give_the_same_metrics(
    run: Callable[..., SweepRun], tune_runner: Callable[[], TuneRunner]
) -> None:
    measured = {}
    text = 'kind: bowl\nspace: {x: [1.0], "null": [none, flat]}\nseeds: [0, 1]\n'
    for name, runner in (("here", InProcessRunner()), ("there", tune_runner())):
        rows = run(text, runner, retry=Retry(everything=True)).rows
        measured[name] = {
            row.label: {k: v for k, v in row.metrics.items() if not k.startswith("system/")}
            for row in rows
        }
    assert measured["here"] == measured["there"]


def test_every_way_a_trial_can_go_wrong_is_an_outcome(
    run: Callable[..., SweepRun], make_runner: Callable[[], Any], tracking: Tracking
) -> None:
    rows = {row.params["fate"]: row for row in run(FATES, make_runner()).rows}
    assert rows["well"].state is TrialState.COMPLETE
    assert rows["raise"].state is TrialState.FAILED
    assert rows["raise"].error == "ZeroDivisionError: the bowl has a hole"
    assert "traceback.txt" in {artifact.path for artifact in rows["raise"].artifacts}
    assert rows["refuse"].error == "fate 'refuse': the bowl refuses"
    assert "surprise" in rows["undeclared"].error
    assert math.isnan(rows["nan"].metrics["loss_validation"])
    assert rows["uncertified"].uncertified == "the bowl wobbles"
    stored = {row.params["fate"]: row for row in tracking.results.rows()}
    assert {f: row.state for f, row in stored.items()} == {f: r.state for f, r in rows.items()}
    assert math.isnan(stored["nan"].metrics["loss_validation"])


def test_a_worker_that_dies_is_replaced_and_its_trial_runs_again(
    run: Callable[..., SweepRun], tune_runner: Callable[[], TuneRunner], tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    done = run(f"kind: bowl\nfixed: {{fate: die_once, marks: {marks}}}\n", tune_runner())
    assert [row.state for row in done.rows] == [TrialState.COMPLETE]
    assert len(list(marks.iterdir())) == 2


def test_early_stopping_ends_the_trials_that_fall_behind(
    run: Callable[..., SweepRun], make_runner: Callable[[], Any]
) -> None:
    text = """
kind: bowl
fixed: {n_steps: 30}
space:
  x: [0.3, 1.9, 2.0]
early_stopping: {method: asha, metric: loss_validation, grace: 3, reduction: 2}
"""
    # Of two that have come to a rung the worse one ends there, whichever it is that comes last.
    states = {row.params["x"]: row.state for row in run(text, make_runner()).rows}
    assert states[0.3] is TrialState.COMPLETE
    assert TrialState.PRUNED in {states[1.9], states[2.0]}


def test_a_trial_gets_its_cpu_share_as_threads(
    run: Callable[..., SweepRun], tune_runner: Callable[[], TuneRunner]
) -> None:
    tune_runner()
    rows = run("kind: bowl\nresources: {cpu: 2}\n", TuneRunner(2, 0)).rows
    assert rows[0].metrics["threads"] == 2


def test_a_trial_larger_than_the_machine_is_refused(
    run: Callable[..., SweepRun], tune_runner: Callable[[], TuneRunner]
) -> None:
    tune_runner()
    with pytest.raises(UserError, match=r"needs 512 CPUs .* this machine has"):
        run("kind: bowl\nresources: {cpu: 512}\n", TuneRunner(512, 0))


def test_pursuit_gives_the_same_metrics_from_both_runners(
    run: Callable[..., SweepRun], tune_runner: Callable[[], TuneRunner], tmp_path: Path
) -> None:
    tune_runner()
    rows = np.random.default_rng(0).normal(size=(300, 12)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    text = """
kind: pursuit
fixed: {source: "file:rows.npy", n_atoms: 2x, max_passes: 3}
space: {l1_penalty: [0.3], "null": [none, gaussian_spectrum]}
"""
    timings = {metric.name for metric in load_kind("pursuit").metrics if metric.timing}
    measured = []
    # Both CPUs for each trial, so one worker for both: its imports cost more than a trial.
    for runner in (InProcessRunner(), TuneRunner(2, 0)):
        done = run(text, runner, retry=Retry(everything=True))
        assert [row.error for row in done.rows] == [""] * 2
        measured.append(
            {
                (row.label, name): value
                for row in done.rows
                for name, value in row.metrics.items()
                if name not in timings and not name.startswith("system/")
            }
        )
    assert measured[0].keys() == measured[1].keys()
    for name, value in measured[0].items():
        np.testing.assert_equal(measured[1][name], value)  # NaN is NaN
