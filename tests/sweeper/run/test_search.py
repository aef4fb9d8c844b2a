from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from sweeper.declare.sweep import Sweep, load_sweep
from sweeper.look.summary import best_trials
from sweeper.records import Outcome, TrialSpec, TrialState
from sweeper.run.drive import SweepRun
from sweeper.run.progress import Progress
from sweeper.run.proposal import Evaluation
from sweeper.run.search import evaluate, make_search
from sweeper.run.stopping import AsyncHalving, MedianRule
from sweeper.store.journal import Finished, Suggested
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
    assert evaluate(sweep, [good, other]) == Evaluation([3.0])
    assert evaluate(sweep, [good, bad]) is None


def constrained(limits: str, trials: int = 30, objectives: str = "[loss_validation]") -> str:
    search = f"objectives: {objectives}, constraints: {limits}"
    return optuna(trials, more=f", {search}")


def test_constraints_are_judged_on_the_mean_over_seeds(write_sweep: Callable[..., Path]) -> None:
    sweep = load_sweep(str(write_sweep(constrained("{distance: {max: 0.5}}"))))
    outcomes = [
        Outcome(
            key=str(distance),
            state=TrialState.COMPLETE,
            metrics={"loss_validation": 1.0, "distance": distance},
        )
        for distance in (0.4, 0.8)
    ]
    evaluation = evaluate(sweep, outcomes)
    assert evaluation is not None
    assert evaluation.values == [1.0]
    assert evaluation.violations == pytest.approx({"distance": 0.2})
    nan = outcomes[0].model_copy(update={"metrics": {"loss_validation": 1.0, "distance": math.nan}})
    assert evaluate(sweep, [outcomes[0], nan]) is None


def test_a_constrained_search_settles_at_the_edge_of_what_is_allowed(
    write_sweep: Callable[..., Path],
) -> None:
    def late_distances(text: str) -> list[float]:
        """|x| of the second half of the proposals; the bowl's bottom lies at 0.3."""
        sweep = load_sweep(str(write_sweep(text)))
        search, asked = make_search(sweep), []
        while (proposal := search.ask()) is not None:
            x = float(proposal.assignment["x"] or 0)
            metrics = {"loss_validation": (x - 0.3) ** 2, "distance": abs(x)}
            outcome = Outcome(key=str(x), state=TrialState.COMPLETE, metrics=metrics)
            search.tell(proposal, evaluate(sweep, [outcome]))
            asked.append(abs(x))
        return asked[len(asked) // 2 :]

    free = late_distances(optuna(60))
    held = late_distances(constrained("{distance: {min: 1.0}}", 60))
    assert sorted(free)[len(free) // 2] < 0.6
    assert sorted(held)[len(held) // 2] > 0.9
    assert sum(distance >= 1.0 for distance in held) > sum(distance >= 1.0 for distance in free)


def test_a_constrained_search_replays_itself_and_shows_the_best_that_is_allowed(
    run: Callable[..., SweepRun], write_sweep: Callable[..., Path]
) -> None:
    text = constrained("{distance: {min: 1.0}}", 16)
    short = [row.params["x"] for row in run(constrained("{distance: {min: 1.0}}", 12)).rows]
    longer = run(text)
    assert longer.n_run == 4
    assert [row.params["x"] for row in longer.rows][:12] == short
    undisturbed = run(text, force=True, name="other")
    assert [row.params["x"] for row in undisturbed.rows] == [row.params["x"] for row in longer.rows]
    sweep = load_sweep(str(write_sweep(text)))
    (best,) = best_trials(longer.rows, sweep.search).front
    allowed = [r.metrics["loss_validation"] for r in longer.rows if r.metrics["distance"] >= 1]
    assert best.metrics["loss_validation"] == min(allowed)
    assert best.metrics["loss_validation"] > min(r.metrics["loss_validation"] for r in longer.rows)


def progress_of(sweep: Sweep, outcomes: list[tuple[float, float]]) -> str:
    """The last line of the progress of trials with these losses and distances."""
    text = io.StringIO()
    console = Console(file=text, width=300)
    progress = Progress(console, sweep, n_total=len(outcomes), n_existing=0)
    for n, (loss, distance) in enumerate(outcomes):
        spec = TrialSpec(
            key=str(n),
            kind="bowl",
            kind_version=1,
            config={"x": n},
            input_digests={},
            varied=("x",),
        )
        metrics = {"loss_validation": loss, "distance": distance}
        outcome = Outcome(key=str(n), state=TrialState.COMPLETE, metrics=metrics)
        if n == 0:  # one that a resumed search comes upon
            progress.found(spec, outcome)
        else:
            progress.on_event(Suggested(spec=spec))
            progress.on_event(Finished(outcome=outcome))
    return text.getvalue().splitlines()[-1]


def test_the_best_so_far_is_within_the_constraints(write_sweep: Callable[..., Path]) -> None:
    sweep = load_sweep(str(write_sweep(constrained("{distance: {max: 2}}"))))
    line = progress_of(sweep, [(3.0, 2.5), (1.0, 4.0)])
    assert "[2/2]" in line
    assert "none within the constraints yet (nearest: distance 2.5, not <= 2)" in line
    assert "best loss_validation 5 at x=1" in progress_of(sweep, [(3.0, 2.5), (5.0, 2.0), (6, 1)])
    assert "best loss_validation 5 at x=0" in progress_of(sweep, [(5.0, 2.0), (3.0, 2.5)])
    both = "[loss_validation, {metric: distance, direction: minimise}]"
    sweep = load_sweep(str(write_sweep(constrained("{distance: {max: 2}}", objectives=both))))
    line = progress_of(sweep, [(5.0, 2.0), (6.0, 1.0), (1.0, 3.0)])
    assert "best loss_validation 5 at x=0, 2 on the Pareto front" in line


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
