"""Searches for a target: the root, and what a sweep makes of it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.measured_curve import HIGH, LOW, NULLS, SEEDS, SIZES, measured
from sweeper.declare.loading import load_sweep
from sweeper.report.summary import best_settings
from sweeper.run.driver.drive import SweepRun
from sweeper.run.plan import make_plan, plan_text
from sweeper.run.search.root import Root, Value

TARGET = """
kind: bowl
space: {{x: {{low: 0.1, high: 2.0, log: true}}{more}}}
search: {{method: target, constraints: {{distance: {{target: 0.7, tolerance: 0.01}}}}}}
"""


def solve(root: Root, y: Callable[[float], float | None], n_most: int = 12) -> int:
    """Values until the root is found, or until there is nothing left to try."""
    for x in root.start():
        root.values.append(Value(x, y(x)))
    while len(root.values) < n_most and (following := root.next()) is not None:
        root.values.append(Value(following, y(following)))
    return len(root.values)


@pytest.mark.parametrize("null", NULLS)
@pytest.mark.parametrize("n_atoms", SIZES)
def test_a_measured_sparsity_is_met_within_two_percent_in_few_trials(
    n_atoms: int, null: str
) -> None:
    for seed in SEEDS:
        for target in (4.0, 8.0, 16.0, 30.0):
            root = Root(LOW, HIGH, target, 0.02 * target)
            n_values = solve(
                root, lambda x, seed=seed: measured(x, n_atoms, null, seed)["l0_validation"]
            )
            assert root.is_found
            assert n_values <= 6


@pytest.mark.parametrize("sign", [1, -1])
def test_rising_and_falling_relations_are_solved_alike(sign: int) -> None:
    root = Root(-3.0, 5.0, 0.5, 1e-3)
    assert solve(root, lambda x: sign * (x + 0.1 * x**3)) <= 8
    assert root.is_found


def test_a_target_beyond_the_range_ends_at_the_end_that_comes_nearest() -> None:
    root = Root(0.1, 1.0, 1000.0, 1.0)
    assert solve(root, lambda x: 1 / x) <= 4
    assert not root.is_found
    assert root.best == Value(0.1, 10.0)
    assert root.next() is None


def test_failures_and_noise_hold_up_nothing() -> None:
    root = Root(0.1, 1.0, 16.0, 0.3)
    solve(root, lambda x: None if x < 0.2 else 4 / x)
    assert root.is_found
    steps = Root(0.1, 1.0, 16.0, 0.3)  # falls in steps and never takes the value
    assert solve(steps, lambda x: 20.0 if x < 0.5 else 10.0) == 12
    best = steps.best
    assert best is not None
    assert best.y == 20.0


def test_what_is_proposed_hangs_on_the_values_and_not_on_their_order() -> None:
    values = [Value(x, measured(x)["l0_validation"]) for x in (0.2, 0.3, 0.5)]
    ways = []
    for ordered in (values, values[::-1]):
        root = Root(LOW, HIGH, 16.0, 0.01)
        root.values.extend(ordered)
        ways.append(root.next())
    assert ways[0] == ways[1]


def test_each_point_and_null_is_solved_for_and_told(
    run: Callable[..., SweepRun], write_sweep: Callable[..., Path]
) -> None:
    text = TARGET.format(more=", depth: [0, 3]") + "nulls: [flat]\nseeds: 2\n"
    said = io.StringIO()
    rows = run(text, console=Console(file=said, width=300)).rows
    for depth in (0, 3):
        for is_control in (False, True):
            found = [
                abs(r.metrics["distance"] - 0.7) <= 0.007
                for r in rows
                if r.params["depth"] == depth and r.is_control == is_control
            ]
            assert sum(found) == 2, "one penalty on both seeds, and the search ends there"
    assert "distance = 0.7 at depth=3 null=flat: x " in said.getvalue()
    sweep = load_sweep(str(write_sweep(text)))
    ranking = best_settings(rows, sweep.search, sweep.seeds).best
    assert [c.item.rows[0].params["depth"] for c in ranking.front] == [3]
    assert run(text).n_run == 0
    longer = run(text.replace("[0, 3]", "[0, 3, 5]"))
    assert 0 < longer.n_run < len(rows) // 2, "begins where the others ended"


def test_the_plan_tells_what_is_solved_for(write_sweep: Callable[..., Path]) -> None:
    text = TARGET.format(more=", depth: [0, 3]") + "nulls: [flat]\n"
    plan = make_plan(load_sweep(str(write_sweep(text))), [])
    assert plan.n_trials == 2 * 2 * 8
    assert plan_text(plan).endswith(
        "x is solved for distance = 0.7 ± 0.007, each of 2 points and 1 nulls, "
        "with at most 8 proposals"
    )
