"""Workers are killed at random moments while they run trials."""

from __future__ import annotations

import random
from contextlib import suppress

import psutil
import pytest
from chaos.sweep import MakeSweep, Sweep, n_differences
from chaos.table import Demand

from sweeper.records import TrialState

EVERY = 4
SWEEP = f"""
kind: stepper
fixed: {{marks: marks, n_steps: 30, checkpoint_every: {EVERY}, step_s: 0.1}}
space: {{x: [0.0, 0.5, 1.0, 1.5]}}
limits: {{retries: 20}}
"""


@pytest.mark.chaos
def test_every_trial_of_killed_workers_finishes_from_its_last_checkpoint(
    make_sweep: MakeSweep, demand: Demand, rng: random.Random
) -> None:
    fault = "worker SIGKILL"
    sweep = make_sweep(SWEEP, ray=True)
    driver = sweep.start()

    def n_marks() -> int:
        return sum(path.read_bytes().count(b"\n") for path in sweep.marks.iterdir())

    killed = 0
    for _ in range(8):
        wanted = n_marks() + rng.randint(1, 14)
        if not driver.until(lambda wanted=wanted: n_marks() >= wanted):
            break
        driver.ends_within(rng.uniform(0, 0.1))
        if workers := _workers(sweep):
            rng.choice(workers).kill()
            killed += 1
    ended = driver.ended()
    assert ended.code == 0, ended.stderr
    rows, database = sweep.rows(), sweep.database
    finished = sum(row.state is TrialState.COMPLETE for row in rows)
    demand(fault, killed, "trials complete", finished, equals=4)
    demand(fault, killed, "steps redone after a death, at most", sweep.most_redone(), at_most=EVERY)
    demand(fault, killed, "duplicate runs", database.duplicates(), equals=0)
    demand(fault, killed, "RUNNING orphans", database.orphans(), equals=0)
    undisturbed = make_sweep(SWEEP.replace("step_s: 0.1", "step_s: 0.0"), "undisturbed")
    assert undisturbed.run().code == 0
    differ = n_differences(rows, undisturbed.rows())
    demand(fault, killed, "values unlike the undisturbed", differ, equals=0)


def _workers(sweep: Sweep) -> list[psutil.Process]:
    """The processes that run trials: the last line of each trial's marks names its own."""
    workers = []
    for path in sorted(sweep.marks.iterdir()):
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(int(path.read_text().split()[-2]))
            if process.name().startswith("ray::"):
                workers.append(process)
    return workers
