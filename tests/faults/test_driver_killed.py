"""The driver is killed at random moments, and the same command given again each time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import pytest
from chaos.driver import Driver
from chaos.sweep import MakeSweep, Sweep, kill_once, n_differences
from chaos.table import Demand

from sweeper.records import TrialState
from sweeper.store.journal import Proposed, Suggested

STEPS = "kind: stepper\nfixed: {marks: marks, n_steps: 5, checkpoint_every: 2, step_s: %r}\n"
SPACES = {
    "grid": "space: {x: {low: -2.0, high: 2.0, points: %d}}\nseeds: 2\n",
    "seeded Optuna": "space: {x: {low: -2.0, high: 2.0}}\n"
    "search: {method: optuna, sampler: tpe, seed: 3}\ntrials: %d\nseeds: 2\n",
}


class Sizes(NamedTuple):
    """Kills at random times below `within_s`, and enough work that the last kill finds some."""

    n_kills: int
    n_points: int
    step_s: float
    within_s: float


LONG, SHORT = Sizes(20, 36, 0.2, 6.0), Sizes(2, 8, 0.05, 2.5)


def killed_until_done(sweep: Sweep, n_kills: int, happened: Callable[[Driver], bool]) -> list[int]:
    """Kill `n_kills` drivers, each once it happened, then let one come to its end."""
    deaths: list[int] = []
    for _ in range(n_kills):
        if (n := kill_once(sweep, happened)) is None:
            break
        deaths.append(n)
    last = sweep.run()
    assert last.code == 0, last.stderr
    return deaths


def demand_nothing_lost(demand: Demand, fault: str, sweep: Sweep, deaths: list[int]) -> None:
    n = len(deaths)
    demand(fault, n, "finished trials lost", sweep.n_lost(), equals=0)
    demand(fault, n, "duplicate runs", sweep.database.duplicates(), equals=0)
    demand(fault, n, "RUNNING orphans", sweep.database.orphans(), equals=0)
    demand(fault, n, "steps redone after a death, at most", sweep.most_redone(), at_most=2)
    late = sweep.n_resumed_late(deaths)
    demand(fault, n, "drivers that began with another trial", late, equals=0)


@pytest.mark.parametrize(
    ("search", "sizes"),
    [
        pytest.param("grid", LONG, marks=pytest.mark.chaos),
        pytest.param("seeded Optuna", LONG, marks=pytest.mark.chaos),
        ("seeded Optuna", SHORT),
    ],
)
def test_a_sweep_whose_driver_is_killed_ends_as_an_undisturbed_one(
    make_sweep: MakeSweep, demand: Demand, rng: random.Random, search: str, sizes: Sizes
) -> None:
    fault, n = f"driver SIGKILL, {search}", sizes.n_kills
    space = SPACES[search] % sizes.n_points
    sweep = make_sweep(STEPS % sizes.step_s + space)
    undisturbed = make_sweep(STEPS % 0.0 + space, "undisturbed")
    assert undisturbed.run().code == 0
    deaths = killed_until_done(
        sweep, n, lambda driver: not driver.ends_within(rng.uniform(0, sizes.within_s))
    )
    demand(fault, n, "drivers killed", len(deaths), equals=n)
    demand_nothing_lost(demand, fault, sweep, deaths)
    rows = sweep.rows()
    demand(fault, n, "trials", len(rows), equals=2 * sizes.n_points)
    differ = n_differences(rows, undisturbed.rows())
    demand(fault, n, "values unlike the undisturbed", differ, equals=0)


@pytest.mark.chaos
def test_a_driver_killed_while_it_ships_and_closes_leaves_nothing_to_clean_up(
    make_sweep: MakeSweep, demand: Demand, rng: random.Random
) -> None:
    fault, n_rounds = "driver SIGKILL while it ships, closes", 10
    text = STEPS % 0.0 + SPACES["grid"] % 4
    undisturbed = make_sweep(text, "undisturbed")
    assert undisturbed.run().code == 0
    figures: Counter[str] = Counter()
    for n in range(n_rounds):
        sweep, wanted = make_sweep(text, f"round-{n}"), rng.randint(0, 8)
        driver = sweep.start()
        assert driver.until(lambda sweep=sweep, wanted=wanted: sweep.n_shipped() >= wanted)
        driver.ends_within(rng.uniform(0, 0.5))
        driver.kill()
        again = sweep.run()
        assert again.code == 0, again.stderr
        figures["finished trials lost"] += sweep.n_lost()
        figures["duplicate runs"] += sweep.database.duplicates()
        figures["RUNNING orphans"] += sweep.database.orphans()
        differences = n_differences(sweep.rows(), undisturbed.rows())
        figures["values unlike the undisturbed"] += differences
    for what, total in figures.items():
        demand(fault, n_rounds, what, total, equals=0)


@pytest.mark.chaos
@pytest.mark.parametrize("search", SPACES)
def test_a_parallel_sweep_whose_driver_is_killed_runs_what_was_declared_once(
    make_sweep: MakeSweep, demand: Demand, rng: random.Random, search: str
) -> None:
    fault = f"driver SIGKILL, {search} in parallel (Ray)"
    sweep = make_sweep(STEPS % 0.1 + SPACES[search] % 12, ray=True)

    def some_records(driver: Driver) -> bool:
        wanted = sweep.n_lines() + rng.randint(1, 50)
        return driver.until(lambda: sweep.n_lines() >= wanted) and not driver.ends_within(
            rng.uniform(0, 0.2)
        )

    deaths = killed_until_done(sweep, 5, some_records)
    n = len(deaths)
    demand_nothing_lost(demand, fault, sweep, deaths)
    events, rows = sweep.events(), sweep.rows()
    complete = sum(row.state is TrialState.COMPLETE for row in rows)
    demand(fault, n, "trials complete, all", (complete, len(rows)), equals=(24, 24))
    suggested = {event.spec.key for event in events if isinstance(event, Suggested)}
    unlisted = len(suggested - {row.key for row in rows})
    demand(fault, n, "trials suggested, not in the table", unlisted, equals=0)
    proposed = [event.keys for event in events if isinstance(event, Proposed)]
    if proposed:  # by a search that adapts
        demand(fault, n, "points proposed", len(proposed), equals=12)
        demand(fault, n, "points proposed twice", len(proposed) - len({*proposed}), equals=0)
