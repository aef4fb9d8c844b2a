"""Nulls beside real trials: scheduled with every proposal and seed, and without a say in it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweeper.declare.loading import load_sweep
from sweeper.declare.sweep import Sweep
from sweeper.records import Outcome, TrialSpec, TrialState
from sweeper.run.driver.drive import SweepRun
from sweeper.run.driver.feed import Existing, TrialFeed
from sweeper.run.inprocess import InProcessRunner
from sweeper.run.plan import Retry, make_plan
from sweeper.run.search.searches import make_search
from sweeper.run.search.stopping import stopping_rule
from sweeper.store.index import read_index
from sweeper.store.location import locate_store
from sweeper.store.tracking import Tracking

SEARCHES = {
    "grid": "space: {x: [-1.0, 1.0]}\n",
    "random": "space: {x: {low: -1.0, high: 1.0}}\nsearch: {method: random, seed: 2}\ntrials: 2\n",
    "optuna": "space: {x: {low: -1.0, high: 1.0}}\nsearch: {method: optuna, seed: 2}\ntrials: 2\n",
}
NULLS = ("flat", "noise")
OPTUNA = """
space: {x: {low: -2.0, high: 2.0}}
search: {method: optuna, sampler: tpe, seed: 3}
trials: TRIALS
"""


def sweep_text(search: str, nulls: str = "[flat, noise]", seeds: str = "[0, 4]") -> str:
    return f"kind: bowl\n{search}nulls: {nulls}\nseeds: {seeds}\n"


# What is asked for hangs on the feed, not on the runner: one search is enough with each but one.
@pytest.mark.parametrize(
    ("make_runner", "method"),
    [("in-process", "grid"), ("in-process", "optuna"), ("tune", "optuna")],
    indirect=["make_runner"],
)
def test_every_proposal_runs_beside_every_null_on_every_seed(
    run: Callable[..., SweepRun],
    make_runner: Callable[[], Any],
    tracking: Tracking,
    method: str,
) -> None:
    done = run(sweep_text(SEARCHES[method]), make_runner())
    points = [(row.params["x"], row.params["null"], row.params["seed"]) for row in done.rows]
    proposed = {x for x, _, _ in points}
    assert len(proposed) == 2
    assert len(points) == 12
    assert set(points) == set(itertools.product(proposed, ("none", *NULLS), (0, 4)))
    stored = tracking.results.rows()
    assert {row.key: row.is_control for row in stored} == {
        row.key: row.params["null"] != "none" for row in done.rows
    }
    assert all(row.varied == ("x", "null", "seed") for row in stored)
    assert "null=flat" in next(row.label for row in stored if row.params["null"] == "flat")
    again = run(sweep_text(SEARCHES[method]), make_runner())
    assert (again.n_run, len(again.rows)) == (0, 12)


@pytest.mark.parametrize("method", SEARCHES)
def test_the_plan_counts_the_nulls(
    run: Callable[..., SweepRun],
    write_sweep: Callable[..., Path],
    store_dir: Path,
    method: str,
) -> None:
    def plan(nulls: str) -> Any:
        sweep = load_sweep(str(write_sweep(sweep_text(SEARCHES[method], nulls))))
        return make_plan(sweep, read_index(locate_store(str(store_dir))))

    before = plan("[flat, noise]")
    assert (before.n_trials, before.n_new) == (12, 12)
    run(sweep_text(SEARCHES[method], "[flat]"))
    if method != "optuna":  # whose trials are known only once it has been asked again
        after = plan("[flat, noise]")
        assert (after.n_trials, after.n_existing, after.n_new) == (12, 8, 4)


def test_nulls_can_be_added_to_a_sweep_that_has_run(run: Callable[..., SweepRun]) -> None:
    assert run(sweep_text(SEARCHES["optuna"], "[]")).n_run == 4
    assert run(sweep_text(SEARCHES["optuna"], "[flat]")).n_run == 4
    assert run(sweep_text(SEARCHES["optuna"], "[noise, flat]")).n_run == 4


def test_a_null_beside_and_a_null_in_the_space_are_the_same_trials(
    run: Callable[..., SweepRun],
) -> None:
    beside = run(sweep_text(SEARCHES["grid"]))
    in_space = run(
        'kind: bowl\nspace: {x: [-1.0, 1.0], "null": [none, flat, noise]}\nseeds: [0, 4]\n',
        name="in_space",
    )
    assert in_space.n_run == 0
    assert {row.key for row in in_space.rows} == {row.key for row in beside.rows}


@pytest.mark.parametrize("nulls", ["[flat]", "[flat, noise]", "[broken]"])
def test_nulls_do_not_steer_the_search_nor_fail_its_proposals(
    write_sweep: Callable[..., Path], nulls: str
) -> None:
    text = OPTUNA.replace("TRIALS", "25")
    alone, beside = (
        [
            (spec.config["x"], spec.config["null"])
            for spec in asked_specs(
                load_sweep(str(write_sweep(sweep_text(text, given, "[0, 1]")))), {}
            )
        ]
        for given in ("[]", nulls)
    )
    assert [x for x, null in beside if null == "none"] == [x for x, _ in alone]
    assert len(alone) == 50
    assert len(beside) == 50 * (2 + nulls.count(","))
    late = [abs(x - 0.3) for x, _ in alone][-20:]
    assert np.median(late) < 0.5, "and it is a search that learns"


def test_a_null_that_fails_runs_again_when_asked(run: Callable[..., SweepRun]) -> None:
    text = sweep_text(SEARCHES["grid"], "[broken]", "[0]")
    rows = run(text).rows
    assert {row.params["null"]: row.state for row in rows} == {
        "none": TrialState.COMPLETE,
        "broken": TrialState.FAILED,
    }
    assert run(text).n_run == 0
    assert run(text, retry=Retry(failed=True)).n_run == 2


def test_a_null_that_the_config_refuses_leaves_its_proposal_alone(
    run: Callable[..., SweepRun],
) -> None:
    done = run(sweep_text(OPTUNA.replace("TRIALS", "4"), "[centred]", "[0]"))
    real = [float(row.params["x"] or 0) for row in done.rows if not row.is_control]
    beside = [float(row.params["x"] or 0) for row in done.rows if row.is_control]
    assert len(real) == 4
    assert sorted(beside) == sorted(x for x in real if abs(x) <= 0.5)
    assert len(done.invalid) == 4 - len(beside) > 0
    assert "null centred at x" in done.invalid[0]


def test_a_stopping_rule_neither_hears_nor_stops_nulls(run: Callable[..., SweepRun]) -> None:
    text = """
kind: bowl
fixed: {n_steps: 30}
space: {x: [0.3, 0.4, 1.8, 1.9, 2.0]}
early_stopping: {method: median, metric: loss_validation, grace: 3}
"""
    alone = {row.params["x"]: row.state for row in run(text, name="alone").rows}
    rows = run(text + "nulls: [flat]\n").rows
    assert {r.params["x"]: r.state for r in rows if not r.is_control} == alone
    assert TrialState.PRUNED in alone.values()
    assert {r.state for r in rows if r.is_control} == {TrialState.COMPLETE}


class Killed(Exception):
    """A driver that dies."""


class DyingRunner(InProcessRunner):
    """Dies before its `n`th trial starts."""

    def __init__(self, n: int) -> None:
        self._n_left = n

    def run(self, feed: TrialFeed, job: Any) -> None:
        ask = feed.next

        def dying() -> Any:
            if self._n_left == 0:
                raise Killed
            self._n_left -= 1
            return ask()

        feed.next = dying  # type: ignore[method-assign]
        super().run(feed, job)


def test_a_killed_sweep_goes_on_with_the_same_proposals(run: Callable[..., SweepRun]) -> None:
    text = sweep_text(OPTUNA.replace("TRIALS", "4"), "[flat]", "[0, 1]")
    for n_before_death in (1, 3, 4):
        with pytest.raises(Killed):
            run(text, DyingRunner(n_before_death), name="cut")
    last = run(text, name="cut")
    assert (last.n_run, len(last.rows)) == (16 - 1 - 3 - 4, 16)
    whole = run(text, name="whole", retry=Retry(everything=True))
    assert whole.n_run == 16
    assert [row.label for row in last.rows] == [row.label for row in whole.rows]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    method=st.sampled_from(["grid", "random", "optuna"]),
    n_points=st.integers(1, 14),
    nulls=st.lists(st.sampled_from(["flat", "noise", "broken"]), unique=True),
    seeds=st.lists(st.integers(0, 9), min_size=1, max_size=2, unique=True),
    existing=st.sets(st.integers(0, 60)),
)
def test_each_arm_is_asked_for_once_and_replayed_whatever_exists(
    tmp_path: Path,
    method: str,
    n_points: int,
    nulls: list[str],
    seeds: list[int],
    existing: set[int],
) -> None:
    search = f"space: {{x: {{low: 0.0, high: 1.0}}}}\nsearch: {method}\ntrials: {n_points}\n"
    if method == "grid":
        search = f"space: {{x: {json.dumps([n / 16 for n in range(n_points)])}}}\n"
    path = tmp_path / "fed.yaml"
    path.write_text(sweep_text(search, json.dumps(nulls), json.dumps(seeds)))
    sweep = load_sweep(str(path))
    asked = asked_specs(sweep, {})
    assert len(asked) == n_points * len(seeds) * (1 + len(nulls))
    known = {
        spec.key: Existing(outcome_of(spec), sweep.name)
        for n, spec in enumerate(asked)
        if n in existing
    }
    missing = [spec.key for spec in asked if spec.key not in known]
    assert [spec.key for spec in asked_specs(sweep, known)] == missing


def asked_specs(sweep: Sweep, existing: Mapping[str, Existing]) -> list[TrialSpec]:
    """What a feed asks for, in order; every null that does not fail is better than a real trial."""
    feed = TrialFeed(
        sweep,
        search=make_search(sweep),
        stopping=stopping_rule(sweep),
        existing=existing,
        emit=lambda event: None,
    )
    specs = []
    while (spec := feed.next()) is not None:
        specs.append(spec)
        feed.finished(outcome_of(spec))
    assert len({spec.key for spec in specs}) == len(specs)
    assert feed.members.keys() == {spec.key for spec in specs} | existing.keys()
    return specs


def outcome_of(spec: TrialSpec) -> Outcome:
    if spec.config["null"] == "broken":
        return Outcome(key=spec.key, state=TrialState.FAILED)
    loss = -9.0 if spec.is_control else (spec.config["x"] - 0.3) ** 2
    return Outcome(key=spec.key, state=TrialState.COMPLETE, metrics={"loss_validation": loss})
