"""Real workers that are killed, hang or take too much; real signals to a driver."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from toy_steps import StepperConfig, stepper_metrics, steps_marked

from sweeper.records import TrialState
from sweeper.run.driver.drive import SweepRun
from sweeper.run.tune_runner import TuneRunner
from sweeper.store.journal import Abandoned, Finished, read_journal

PATIENCE_S = 60


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    """A folder where each executed step leaves a line: step, process, time."""
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


def last_line(marks: Path, step: int) -> list[str]:
    """The line of a trial that has come to `step`, as soon as there is one."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for path in marks.glob("*.steps"):
            lines = [line.split() for line in path.read_text().splitlines()]
            if lines and int(lines[-1][0]) >= step:
                return lines[-1]
        time.sleep(0.02)
    raise AssertionError(f"no trial came to step {step}")


@pytest.fixture
def meanwhile() -> Iterator[Callable[[Callable[[], None]], None]]:
    """`meanwhile(act)` runs `act` beside the sweep of a test; what it raises fails the test."""
    errors: list[BaseException] = []
    threads: list[threading.Thread] = []

    def start(act: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                act()
            except BaseException as error:
                errors.append(error)

        threads.append(threading.Thread(target=guarded))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_killed_worker_costs_at_most_one_checkpoint_interval(
    run: Callable[..., SweepRun],
    tune_runner: Callable[[], TuneRunner],
    marks: Path,
    meanwhile: Callable[[Callable[[], None]], None],
) -> None:
    meanwhile(lambda: os.kill(int(last_line(marks, step=5)[1]), signal.SIGKILL))
    text = f"kind: stepper\nfixed: {{n_steps: 8, step_s: 0.1, marks: {marks}}}\n"
    (row,) = run(f"{text}resources: {{cpu: 1}}\n", tune_runner()).rows
    assert row.state is TrialState.COMPLETE
    expected = stepper_metrics(StepperConfig(n_steps=8))
    assert {name: row.metrics[name] for name in expected} == expected
    (steps,) = steps_marked(marks).values()
    assert sorted(set(steps)) == list(range(1, 9))
    assert len(steps) - len(set(steps)) <= 1


def test_limits_end_a_trial_with_the_reason_and_no_other(
    run: Callable[..., SweepRun], tune_runner: Callable[[], TuneRunner], store_dir: Path
) -> None:
    text = """
kind: stepper
space: {fate: [well, hang, memory, exit]}
limits: {retries: 1, trial_timeout_s: 25, memory_gib: 1.2}
"""
    # The hanging trial holds its slot to the end; the others take turns in the other one.
    rows = {row.params["fate"]: row for row in run(text, tune_runner()).rows}
    assert rows["well"].state is TrialState.COMPLETE
    assert {rows[fate].state for fate in ("hang", "memory", "exit")} == {TrialState.FAILED}
    assert rows["hang"].error == "time limit of 25 s exceeded"
    assert rows["memory"].error.startswith("memory limit of 1.2 GiB exceeded: 1.")
    assert rows["exit"].error == "the worker died 2 times: killed, crashed, or out of memory"
    events = list(read_journal(store_dir / "sweeps" / "bowls" / "journal.log"))
    tried_again = [event.key for event in events if isinstance(event, Abandoned)]
    assert tried_again == [rows["exit"].key]
    assert not list((store_dir / "sweeps" / "bowls" / "checkpoints").iterdir())


def test_ctrl_c_twice_stops_at_a_checkpoint_and_the_same_command_goes_on(
    run: Callable[..., SweepRun],
    make_runner: Callable[[], Any],
    store_dir: Path,
    marks: Path,
    meanwhile: Callable[[Callable[[], None]], None],
) -> None:
    def press_twice() -> None:
        last_line(marks, step=2)
        os.kill(os.getpid(), signal.SIGINT)
        last_line(marks, step=4)
        os.kill(os.getpid(), signal.SIGINT)

    text = f"""
kind: stepper
fixed: {{n_steps: 12, step_s: 0.1, checkpoint_every: 100, marks: {marks}}}
space: {{x: [0.0, 1.0, 2.0]}}
"""
    meanwhile(press_twice)
    first = run(text, make_runner())
    assert first.ending.exit_code == 130
    assert first.ending.why.startswith("interrupted, 3 trials left to run")
    journal = store_dir / "sweeps" / "bowls" / "journal.log"
    assert not [event for event in read_journal(journal) if isinstance(event, Finished)]
    again = run(text, make_runner())
    assert (again.ending.exit_code, again.n_run) == (0, 3)
    for steps in steps_marked(marks).values():
        assert steps == list(range(1, 13)), "nothing is done twice, nothing is left out"


@pytest.mark.system
def test_signals_to_the_whole_terminal_leave_the_workers_to_the_driver(
    tmp_path: Path, store_dir: Path, write_sweep: Callable[..., Path], marks: Path
) -> None:
    fixed = f"{{n_steps: 400, step_s: 0.05, checkpoint_every: 1000, marks: {marks}}}"
    write_sweep(f"kind: stepper\nfixed: {fixed}\n")
    # Whoever runs this test under nohup, or in the background, ignores them.
    heeding = ["env", "--default-signal=HUP,INT"]
    command = [*heeding, sys.executable, "-m", "sweeper.cli", "run", "bowls.yaml"]
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as driver:
        assert driver.stderr is not None
        last_line(marks, step=2)
        os.killpg(driver.pid, signal.SIGINT)
        said = next(line for line in driver.stderr if "Ctrl-C" in line)
        assert said == "finishing 1 running trial; Ctrl-C again stops them\n"
        here = int(last_line(marks, step=3)[0])
        last_line(marks, step=here + 5)  # it goes on
        os.killpg(driver.pid, signal.SIGHUP)
        driver.stderr.read()
        assert driver.wait(PATIENCE_S) == 143
    n_done = int(last_line(marks, step=1)[0])
    ended = [
        event.reason
        for event in read_journal(store_dir / "sweeps" / "bowls" / "journal.log")
        if isinstance(event, Abandoned)
    ]
    assert ended == ["interrupted"]
    checkpoints = store_dir / "sweeps" / "bowls" / "checkpoints"
    (checkpoint,) = checkpoints.glob("*/*.json")
    assert checkpoint.read_text().startswith(f"[{n_done}, ")
