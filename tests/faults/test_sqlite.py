"""The SQLite file is locked by another process, or written by eight drivers at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from chaos.stored import Database
from chaos.sweep import MakeSweep
from chaos.table import Demand

N_TRIALS = 8
SWEEP = f"""
kind: stepper
fixed: {{marks: marks, n_steps: 6, step_s: 0.05}}
space: {{x: {{low: -2.0, high: 2.0, points: {N_TRIALS}}}}}
"""
HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another process holds the file's write lock within the block."""
    command = [sys.executable, "-c", HOLD, str(database)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield


@pytest.mark.parametrize("seconds", [5, pytest.param(30, marks=pytest.mark.chaos)])
def test_a_database_that_another_process_locks_loses_nothing(
    make_sweep: MakeSweep, demand: Demand, seconds: float
) -> None:
    fault = f"SQLite locked for {seconds} s"
    sweep = make_sweep(SWEEP)
    driver = sweep.start()
    assert driver.until(lambda: sweep.n_finished() >= 1)
    with locked(sweep.root / "mlflow.db"):
        over = driver.ends_within(seconds)
        demand(fault, 1, "trials finished meanwhile", sweep.n_finished(), equals=N_TRIALS)
    assert not over, "the lock was not felt"
    ended = driver.ended()
    demand(fault, 1, "exit code", ended.code, equals=0)
    database = sweep.database
    database.demand_all_stored(demand, fault, 1, sweep.rows(), N_TRIALS)


@pytest.mark.chaos
def test_eight_drivers_of_eight_sweeps_share_one_new_store(
    tmp_path: Path, demand: Demand, make_sweep: MakeSweep
) -> None:
    fault = "8 drivers make and write one SQLite store"
    sweeps = [
        make_sweep(
            SWEEP.replace("marks: marks", f"marks: marks, note: driver {n}"),
            f"driver-{n}",
            name=f"steps-{n}",
            root=tmp_path / "new",
        )
        for n in range(8)
    ]
    drivers = [sweep.start() for sweep in sweeps]
    codes = [driver.ended(timeout_s=400).code for driver in drivers]
    demand(fault, 8, "exit codes", codes, equals=[0] * 8)
    database = Database(sweeps[0].place.tracking_uri, *(sweep.name for sweep in sweeps))
    rows = [row for sweep in sweeps for row in sweep.rows()]
    database.demand_all_stored(demand, fault, 8, rows, 8 * N_TRIALS)
