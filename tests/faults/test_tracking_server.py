"""The tracking server is killed, answers with errors, late, or its answers are lost."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

import pytest
from chaos.stored import Database
from chaos.sweep import MakeSweep, Sweep
from chaos.table import Demand
from chaos.tracking_server import (
    Exchange,
    FaultyProxy,
    TrackingServer,
    late,
    lost_answer,
    pass_on,
    status,
)

N_TRIALS = 8
SWEEP = """
kind: stepper
fixed: {marks: marks, n_steps: 6, step_s: 0.1, x: %r}
seeds: 8
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    server = TrackingServer(tmp_path_factory.mktemp("server"))
    server.start()
    server.wait_until_up()
    yield server
    server.kill()


@pytest.fixture
def proxy(server: TrackingServer) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(server.port)
    yield proxy
    proxy.close()


@pytest.fixture
def sweep(make_sweep: MakeSweep, proxy: FaultyProxy, rng: random.Random) -> Sweep:
    """A sweep of a name and of trials of its own: the tests share a server."""
    x = rng.uniform(-5, 5)
    return make_sweep(SWEEP % x, name=f"steps-{rng.getrandbits(32):08x}", store=proxy.uri)


def demand_all_stored(demand: Demand, fault: str, sweep: Sweep, server: TrackingServer) -> None:
    Database(server.database_uri, sweep.name).demand_all_stored(
        demand, fault, 1, sweep.rows(), N_TRIALS
    )


@pytest.mark.parametrize(
    "down_s",
    [
        pytest.param(0, marks=pytest.mark.chaos),
        pytest.param(20, marks=pytest.mark.chaos),
        pytest.param(60, marks=pytest.mark.chaos),
    ],
)
def test_a_sweep_goes_on_while_its_server_is_dead_and_ships_what_it_missed(
    sweep: Sweep, server: TrackingServer, demand: Demand, down_s: float
) -> None:
    fault = f"MLflow server killed, down for {down_s} s and its start"
    driver = sweep.start()
    assert driver.until(lambda: sweep.n_finished() >= 2)
    n_finished = sweep.n_finished()
    server.kill()
    if down_s:  # the sweep, meanwhile, comes to its last trial
        began = time.monotonic()
        assert driver.until(lambda: sweep.n_finished() == N_TRIALS)
        went_on = sweep.n_finished() - n_finished
        demand(fault, 1, "trials finished while it was down", went_on, at_least=1)
        driver.ends_within(max(0, down_s - (time.monotonic() - began)))
    assert driver.is_running
    server.start()
    server.wait_until_up()
    ended = driver.ended()
    demand(fault, 1, "exit code", ended.code, equals=0)
    demand_all_stored(demand, fault, sweep, server)


@pytest.mark.chaos
@pytest.mark.parametrize("code", [500, 429])
def test_a_server_that_answers_with_errors_gets_everything_in_the_end(
    sweep: Sweep, server: TrackingServer, proxy: FaultyProxy, demand: Demand, code: int
) -> None:
    fault = f"MLflow server answers {code}"
    driver = sweep.start()
    assert driver.until(lambda: sweep.n_finished() >= 2)
    before, proxy.fault = proxy.n_requests, status(code)
    assert driver.until(lambda: sweep.n_finished() == N_TRIALS)
    assert driver.until(lambda: proxy.n_requests >= before + 3)
    n_refused, proxy.fault = proxy.n_requests - before, pass_on
    ended = driver.ended()
    demand(fault, n_refused, "exit code", ended.code, equals=0)
    demand_all_stored(demand, fault, sweep, server)


@pytest.mark.chaos
def test_a_server_that_answers_after_thirty_seconds_stores_everything_once(
    sweep: Sweep, server: TrackingServer, proxy: FaultyProxy, demand: Demand
) -> None:
    fault, n_late, over = "MLflow server answers after 30 s", 0, threading.Event()
    delay = late(30, over)

    def some_late(exchange: Exchange) -> None:
        """Three requests that change something, each executed and answered late."""
        nonlocal n_late
        changes = "search" not in exchange.path and exchange.command == "POST"
        n_late += changes
        (delay if changes and n_late <= 3 else pass_on)(exchange)

    driver = sweep.start()
    assert driver.until(lambda: sweep.n_finished() >= 2)
    proxy.fault = some_late
    ended = driver.ended(timeout_s=300)
    over.set()
    demand(fault, min(n_late, 3), "exit code", ended.code, equals=0)
    demand_all_stored(demand, fault, sweep, server)


@pytest.mark.chaos
def test_answers_that_are_lost_store_nothing_twice(
    sweep: Sweep, server: TrackingServer, proxy: FaultyProxy, demand: Demand, rng: random.Random
) -> None:
    fault, n_lost = "MLflow server executes, its answer is lost", 0

    def half_lost(exchange: Exchange) -> None:
        nonlocal n_lost
        if n_lost < 40 and rng.random() < 0.5:
            n_lost += 1
            lost_answer(exchange)
        else:
            pass_on(exchange)

    proxy.fault = half_lost
    ended = sweep.run(timeout_s=400)
    demand(fault, n_lost, "exit code", ended.code, equals=0)
    demand_all_stored(demand, fault, sweep, server)


@pytest.mark.chaos
def test_a_server_that_stays_away_is_named_and_the_same_command_ships_later(
    sweep: Sweep, server: TrackingServer, demand: Demand
) -> None:
    fault = "MLflow server killed, away beyond the end"
    driver = sweep.start()
    assert driver.until(lambda: sweep.n_finished() >= 2)
    server.kill()
    ended = driver.ended()
    demand(fault, 1, "exit code", ended.code, equals=3)
    demand(fault, 1, "trials finished in the journal", sweep.n_finished(), equals=N_TRIALS)
    assert sweep.store in ended.stderr
    server.start()
    server.wait_until_up()
    again = sweep.run()
    demand(fault, 1, "exit code of the same command later", again.code, equals=0)
    demand(fault, 1, "trials run again", sweep.n_lost(), equals=0)
    demand_all_stored(demand, fault, sweep, server)


@pytest.mark.system
def test_fsck_asks_a_server_once_for_each_artifact_and_its_list(
    sweep: Sweep, proxy: FaultyProxy, demand: Demand
) -> None:
    assert sweep.run().code == 0
    n_artifacts = sum(len(row.artifacts) for row in sweep.rows())
    before = proxy.n_requests
    assert sweep.sweeper("fsck", sweep.name).code == 0
    n_most = n_artifacts + N_TRIALS + 10  # a list for each trial; the store and its pages of runs
    demand("fsck over HTTP", 1, "requests", proxy.n_requests - before, at_most=n_most)
