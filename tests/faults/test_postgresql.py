"""A private PostgreSQL server crashes and comes back while a sweep writes to it."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.postgres import Postgres, binaries
from chaos.stored import Database
from chaos.sweep import MakeSweep
from chaos.table import Demand

pytestmark = pytest.mark.system

SWEEP = """
kind: stepper
fixed: {marks: marks, n_steps: 6, step_s: 0.1, note: %s}
space: {x: {low: -2.0, high: 2.0, points: %d}}
"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    if (folder := binaries()) is None:
        pytest.skip("no PostgreSQL: install the package postgresql (initdb and pg_ctl)")
    # pytest's own folders are closed to other users, and PostgreSQL does not run as root.
    with tempfile.TemporaryDirectory(prefix="chaos-postgres-") as root:
        server = Postgres(Path(root), folder)
        yield server
        server.stop()


@pytest.mark.parametrize(
    ("most", "n_trials"), [pytest.param(3, 32, marks=pytest.mark.chaos), (1, 4)]
)
def test_a_sweep_survives_restarts_of_postgresql(
    make_sweep: MakeSweep,
    postgres: Postgres,
    demand: Demand,
    rng: random.Random,
    most: int,
    n_trials: int,
) -> None:
    fault, n_restarts = "PostgreSQL restarted (immediate)", 0
    name = f"steps-{n_trials}"  # of trials of its own: the tests share a server
    sweep = make_sweep(SWEEP % (name, n_trials), name=name, store=postgres.uri)
    driver = sweep.start()
    for _ in range(most):
        wanted = sweep.n_lines() + rng.randint(4, 30)
        if not driver.until(lambda wanted=wanted: sweep.n_lines() >= wanted):
            break
        postgres.restart()
        n_restarts += 1
    ended = driver.ended()
    demand(fault, n_restarts, "restarts while it ran", n_restarts, equals=most)
    demand(fault, n_restarts, "exit code", ended.code, equals=0)
    Database(postgres.uri, sweep.name).demand_all_stored(
        demand, fault, n_restarts, sweep.rows(), n_trials
    )
