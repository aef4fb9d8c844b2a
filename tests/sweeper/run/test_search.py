from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sweeper.declare.sweep import load_sweep
from sweeper.records import Outcome, TrialState
from sweeper.run.drive import SweepRun
from sweeper.run.search import make_search, objective_values
from sweeper.run.stopping import AsyncHalving, MedianRule
from sweeper.store.tracking import Tracking

OPTUNA = """
kind: bowl
space: {{x: {{low: -2.0, high: 2.0}}}}
search: {{method: optuna, seed: 3{more}}}
trials: {trials}
seeds: {seeds}
"""


def optuna(trials: int = 25, seeds: str = "[0]", more: str = "") -> str:
    return OPTUNA.format(trials=trials, seeds=seeds, more=more)


def test_optuna_comes_close_to_the_bottom_of_the_bowl(run: Callable[..., SweepRun]) -> None:
    rows = run(optuna()).rows
    assert len(rows) == 25
    best = min(rows, key=lambda row: row.metrics["loss_validation"])
    assert abs(float(best.params["x"] or 0) - 0.3) < 0.15


def test_a_seeded_search_resumes_from_its_own_trials(
    run: Callable[..., SweepRun], tracking: Tracking
) -> None:
    short = [row.params["x"] for row in run(optuna(6)).rows]
    longer = run(optuna(10))
    assert longer.n_run == 4
    assert [row.params["x"] for row in longer.rows][:6] == short
    undisturbed = run(optuna(10), force=True, name="other")
    assert [row.params["x"] for row in undisturbed.rows] == [row.params["x"] for row in longer.rows]


def test_seeds_are_replicates_of_each_proposal(run: Callable[..., SweepRun]) -> None:
    rows = run(optuna(4, seeds="[0, 1, 2]")).rows
    assert len(rows) == 12
    assert len({row.params["x"] for row in rows}) == 4


def test_a_random_search_draws_inside_the_bounds_and_repeats_itself(
    write_sweep: Callable[..., Path],
) -> None:
    text = """
kind: bowl
space: {x: {low: -1.0, high: 1.0}}
search: {method: random, seed: 5}
trials: 20
"""
    drawn = []
    for _ in range(2):
        search = make_search(load_sweep(str(write_sweep(text))))
        drawn.append([p.assignment["x"] for p in iter(search.ask, None)])
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 20
    assert all(-1 <= float(x or 0) <= 1 for x in drawn[0])


@pytest.mark.parametrize(
    "bad",
    [
        Outcome(key="b", state=TrialState.FAILED),
        Outcome(key="b", state=TrialState.PRUNED),
        Outcome(key="b", state=TrialState.COMPLETE, metrics={"loss_validation": float("nan")}),
        Outcome(
            key="b",
            state=TrialState.COMPLETE,
            metrics={"loss_validation": 0.0},
            uncertified="gap 0.1 over tolerance",
        ),
    ],
    ids=["failed", "stopped", "nan", "uncertified"],
)
def test_a_replicate_that_cannot_be_trusted_never_steers(
    write_sweep: Callable[..., Path], bad: Outcome
) -> None:
    sweep = load_sweep(str(write_sweep(optuna())))
    good = Outcome(key="a", state=TrialState.COMPLETE, metrics={"loss_validation": 2.0})
    other = Outcome(key="c", state=TrialState.COMPLETE, metrics={"loss_validation": 4.0})
    assert objective_values(sweep, [good, other]) == [3.0]
    assert objective_values(sweep, [good, bad]) is None


def test_halving_keeps_one_in_r_at_each_rung() -> None:
    rule = AsyncHalving("loss", 1.0, grace=2, reduction=3)
    assert not rule.stops("early", 1, {"loss": 9.0})
    kept = [not rule.stops(str(i), 2, {"loss": float(i)}) for i in (5, 1, 9, 0, 8, 7)]
    # The first two pass for want of a third to be held against.
    assert kept == [True, True, False, True, False, False]
    assert not rule.stops("0", 3, {"loss": 99.0}), "judged once a rung"


def test_halving_maximises_with_the_other_sign() -> None:
    rule = AsyncHalving("score", -1.0, grace=1, reduction=2)
    assert not rule.stops("a", 1, {"score": 0.9})
    assert rule.stops("b", 1, {"score": 0.1})


def test_the_median_rule_needs_company_and_grace() -> None:
    rule = MedianRule("loss", 1.0, grace=2)
    for key in "abc":
        assert not rule.stops(key, 1, {"loss": 1.0})
        assert not rule.stops(key, 2, {"loss": 1.0})
    assert not rule.stops("slow", 1, {"loss": 5.0})
    assert rule.stops("slow", 2, {"loss": 5.0})
    assert not rule.stops("fast", 2, {"loss": 0.5})
