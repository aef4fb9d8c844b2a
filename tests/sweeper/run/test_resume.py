"""A sweep whose driver dies, again and again, is the sweep that was never disturbed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sweeper.declare.loading import load_sweep
from sweeper.declare.sweep import Sweep
from sweeper.records import Outcome, TrialSpec, TrialState
from sweeper.run.driver.feed import TrialFeed
from sweeper.run.driver.members import Existing
from sweeper.run.search.searches import make_search, n_proposals
from sweeper.run.search.stopping import stopping_rule
from sweeper.store.journal import Event, Finished, Proposed, Reported, Suggested, replay

LINE = "space: {x: {low: -2.0, high: 2.0}}\n"
OPTUNA = "search: {method: optuna, sampler: tpe, seed: 3}\ntrials: 16\n"
STOPPED = (
    "early_stopping: {method: METHOD, metric: loss_validation, grace: 2}\nfixed: {n_steps: 5}\n"
)
SWEEPS = {
    "tpe": LINE + OPTUNA,
    "two dimensions": "space: {x: {low: 0.1, high: 2.0, log: true}, depth: {low: 0, high: 5}}\n"
    + OPTUNA,
    "two objectives": LINE
    + """
search:
  method: optuna
  sampler: tpe
  objectives: [loss_validation, {metric: distance, direction: minimise}]
trials: 16
""",
    "constrained": LINE
    + "search: {method: optuna, sampler: tpe, constraints: {distance: {min: 1.0}}}\ntrials: 16\n",
    "gaussian process": 'space: {x: {low: -2.0, high: 2.0}, "null": [none, broken]}\n'
    + "search: {method: optuna, seed: 1, constraints: {distance: {min: 1.0}}}\ntrials: 6\n",
    "target": "space: {x: {low: 0.1, high: 2.0, log: true}, depth: [0, 3]}\nnulls: [flat]\n"
    + "search: {method: target, constraints: {distance: {target: 0.7}}}\n",
    "even": LINE + "search: {method: optuna, sampler: qmc}\ntrials: 12\n",
    "some fail": 'space: {x: {low: -2.0, high: 2.0}, "null": [none, broken]}\n'
    + OPTUNA.replace("16", "25"),
    "some are refused": 'space: {x: {low: -2.0, high: 2.0}, "null": [none, centred]}\n'
    + OPTUNA.replace("16", "25"),
    "seeds and nulls": LINE + OPTUNA + "seeds: 2\nbeside_null: [flat, noise]\n",
    "small space": "space: {x: [-1.0, 0.5, 1.0], depth: {low: 0, high: 4}}\n"
    + OPTUNA.replace("16", "99"),
    "halving": LINE + OPTUNA + STOPPED.replace("METHOD", "asha"),
    "halving of two objectives": LINE
    + OPTUNA.replace(
        "3", "3, objectives: [loss_validation, {metric: distance, direction: minimise}]"
    )
    + STOPPED.replace("METHOD", "asha"),
    "median": LINE + OPTUNA + STOPPED.replace("METHOD", "median") + "seeds: 2\n",
    "random sampler": LINE + "search: {method: optuna, sampler: random}\ntrials: 12\n",
    "random": LINE + "search: random\ntrials: 8\n" + STOPPED.replace("METHOD", "asha"),
    "grid": "space: {x: [0.25, 0.5, 1.0, 1.5, -1.0, 2.0]}\nseeds: 2\n"
    + STOPPED.replace("METHOD", "median"),
}


NO_SHRINK = (Phase.explicit, Phase.generate)
"""Where an example takes a tenth of a second, shrinking one would take minutes."""


class Killed(Exception):
    """A driver that dies."""


class Lab:
    """The driver of one sweep, over all its lives; `events` is the journal."""

    def __init__(self, sweep: Sweep, n_slots: int = 1, seed: int = 0) -> None:
        self.sweep, self.n_slots = sweep, n_slots
        self.events: list[Event] = []
        self._rng = random.Random(seed)

    def run(self, n_events: float = float("inf"), *, fresh: bool = True) -> TrialFeed:
        """Drive until nothing is left, or until `n_events` are in the journal.

        A trial that is run again reports from its first step if `fresh`, else from its last.
        """
        events = self.events

        def emit(event: Event) -> None:
            if len(events) >= n_events:
                raise Killed
            events.append(type(event).model_validate_json(event.model_dump_json()))

        history = replay(events)
        feed = TrialFeed(
            self.sweep,
            search=make_search(self.sweep),
            stopping=stopping_rule(self.sweep),
            existing={
                key: Existing(outcome, self.sweep.name) for key, outcome in history.outcomes.items()
            },
            emit=emit,
            history=history,
        )
        checkpoints = {} if fresh else {r.key: r.step for r in history.reports}
        running: list[tuple[TrialSpec, list[int]]] = []
        while True:
            while len(running) < self.n_slots and (spec := feed.next()) is not None:
                feed.started(spec.key)
                steps = range(checkpoints.get(spec.key, 1), spec.config["n_steps"] + 1)
                running.append((spec, list(steps)))
            if not running:
                assert feed.exhausted
                return feed
            spec, steps = running.pop(self._rng.randrange(len(running)))
            if steps:
                step, *steps = steps
                loss = loss_of(spec) + 1 / step
                if feed.reported(spec.key, step, {"loss_validation": loss}):
                    feed.finished(Outcome(key=spec.key, state=TrialState.PRUNED))
                else:
                    running.append((spec, steps))
            else:
                feed.finished(outcome_of(spec))


def loss_of(spec: TrialSpec) -> float:
    return (spec.config["x"] - 0.3) ** 2 - spec.config["depth"] + 0.01 * spec.config["seed"]


def outcome_of(spec: TrialSpec) -> Outcome:
    if spec.config["null"] == "broken":
        return Outcome(key=spec.key, state=TrialState.FAILED, error="broken")
    metrics = {"loss_validation": loss_of(spec), "distance": abs(spec.config["x"])}
    return Outcome(key=spec.key, state=TrialState.COMPLETE, metrics=metrics)


class Result(NamedTuple):
    """What a sweep comes to."""

    trials: list[tuple[str, TrialState]]
    evaluated: list[Any]


def result(feed: TrialFeed) -> Result:
    evaluated = sorted(feed.evaluated, key=lambda one: one.proposal.number)
    return Result([(m.spec.label, m.outcome.state) for m in feed.members.values()], evaluated)


@pytest.fixture
def sweep_of(write_sweep: Callable[..., Path]) -> Callable[[str], Sweep]:
    return lambda text: load_sweep(str(write_sweep("kind: bowl\n" + text)))


@pytest.mark.parametrize("name", SWEEPS)
@settings(
    max_examples=6,
    deadline=None,
    phases=NO_SHRINK,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_sweep_that_is_killed_anywhere_comes_to_what_it_would_have(
    sweep_of: Callable[[str], Sweep], name: str, data: st.DataObject
) -> None:
    sweep = sweep_of(SWEEPS[name])
    whole = Lab(sweep)
    expected = result(whole.run())
    deaths = data.draw(st.lists(st.integers(1, len(whole.events) - 1), max_size=4).map(sorted))
    fresh = data.draw(st.booleans())
    cut = Lab(sweep)
    for n_events in deaths:
        if n_events > len(cut.events):
            with pytest.raises(Killed):
                cut.run(n_events, fresh=fresh)
    assert result(cut.run(fresh=fresh)) == expected
    assert result(cut.run()) == expected, "and run once more it runs nothing"
    finished = Counter(e.outcome.key for e in cut.events if isinstance(e, Finished))
    assert set(finished.values()) == {1}


def test_these_sweeps_hold_what_they_are_to_show(sweep_of: Callable[[str], Sweep]) -> None:
    """Failures, refusals and stopped trials, and proposals that the sampler learned from."""
    states = {}
    for name, text in SWEEPS.items():
        done = result(Lab(sweep_of(text)).run())
        states[name] = Counter(one.evaluation.state for one in done.evaluated)
    for name in ("halving", "halving of two objectives", "median", "random", "grid"):
        assert states[name][TrialState.PRUNED] > 1, name
    for name in ("some fail", "some are refused"):
        assert states[name][TrialState.FAILED] > 1, name
    learned = 10  # Optuna's samplers draw at random before
    for name in ("tpe", "two objectives", "constrained", "some fail", "halving", "median"):
        told = states[name][TrialState.COMPLETE] + states[name][TrialState.PRUNED]
        assert learned <= told, name
        assert learned < states[name].total(), name


@settings(
    max_examples=15,
    deadline=None,
    phases=NO_SHRINK,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    name=st.sampled_from(
        ["tpe", "gaussian process", "small space", "seeds and nulls", "halving", "random"]
    ),
    n_slots=st.integers(2, 5),
    seed=st.integers(0, 99),
    deaths=st.lists(st.integers(1, 90), max_size=5).map(sorted),
)
def test_in_parallel_the_declared_number_runs_and_each_is_proposed_once(
    sweep_of: Callable[[str], Sweep], name: str, n_slots: int, seed: int, deaths: list[int]
) -> None:
    sweep = sweep_of(SWEEPS[name])
    lab = Lab(sweep, n_slots, seed)
    for n_events in deaths:
        if n_events > len(lab.events):
            try:
                lab.run(n_events)
            except Killed:
                continue
            break
    feed = lab.run()
    points = {tuple(one.proposal.assignment.items()) for one in feed.evaluated}
    assert len(points) == len(feed.evaluated) == n_proposals(sweep)
    assert len(feed.members) == n_proposals(sweep) * len(sweep.seeds) * sweep.n_arms
    finished = Counter(e.outcome.key for e in lab.events if isinstance(e, Finished))
    assert finished == dict.fromkeys(feed.members, 1)
    if sweep.search.method == "optuna":
        proposed = [tuple(e.keys) for e in lab.events if isinstance(e, Proposed)]
        assert len(set(proposed)) == len(proposed) == n_proposals(sweep)


def test_what_was_under_way_runs_first(sweep_of: Callable[[str], Sweep]) -> None:
    for name in ("tpe", "grid"):
        lab = Lab(sweep_of(SWEEPS[name]), n_slots=3)
        with pytest.raises(Killed):
            lab.run(12)
        under_way = [spec.key for spec in replay(lab.events).unfinished]
        assert len(under_way) > 1
        n_before = len(lab.events)
        lab.run()
        asked = [e.spec.key for e in lab.events[n_before:] if isinstance(e, Suggested)]
        assert asked[: len(under_way)] == under_way


def xs(feed: TrialFeed) -> list[Any]:
    return [member.spec.config["x"] for member in feed.members.values()]


def edited(lab: Lab, sweep: Sweep) -> Lab:
    """The same journal under another version of the sweep file."""
    other = Lab(sweep)
    other.events = list(lab.events)
    return other


def test_raising_the_number_of_trials_goes_on_and_lowering_it_keeps_the_first(
    sweep_of: Callable[[str], Sweep],
) -> None:
    lab = Lab(sweep_of(LINE + OPTUNA.replace("16", "12")))
    short = xs(lab.run())
    longer = edited(lab, sweep_of(LINE + OPTUNA))
    assert xs(longer.run())[:12] == short
    assert xs(longer.run()) == xs(Lab(sweep_of(LINE + OPTUNA)).run())
    lowered = edited(longer, sweep_of(LINE + OPTUNA.replace("16", "5")))
    assert xs(lowered.run()) == short[:5]
    assert len(lowered.events) == len(longer.events)


def test_another_question_does_not_count(sweep_of: Callable[[str], Sweep]) -> None:
    lab = Lab(sweep_of(LINE + OPTUNA))
    lab.run()
    other = sweep_of(LINE + OPTUNA + "fixed: {depth: 3}\n")
    done = edited(lab, other).run()
    assert xs(done) == xs(Lab(other).run())
    back = edited(lab, sweep_of(LINE + OPTUNA))
    back.run()
    assert len(back.events) == len(lab.events)


def test_a_wider_space_keeps_its_points_and_a_narrower_one_those_inside(
    sweep_of: Callable[[str], Sweep],
) -> None:
    middle = OPTUNA.replace("16", "12")
    lab = Lab(sweep_of("space: {x: {low: -1.0, high: 1.0}}\n" + middle))
    points = xs(lab.run())
    wider = xs(edited(lab, sweep_of(LINE + OPTUNA)).run())
    assert wider[:12] == points
    assert len(set(wider)) == 16
    narrower = xs(edited(lab, sweep_of("space: {x: {low: 0.0, high: 1.0}}\n" + middle)).run())
    inside = [x for x in points if x >= 0]
    assert 0 < len(inside) < 12
    assert narrower[: len(inside)] == inside
    assert len(narrower) == 12
    assert all(0 <= x <= 1 for x in narrower)


def test_seeds_can_be_added_to_the_points_that_were_found(
    sweep_of: Callable[[str], Sweep],
) -> None:
    lab = Lab(sweep_of(LINE + OPTUNA))
    points = xs(lab.run())
    more = edited(lab, sweep_of(LINE + OPTUNA + "seeds: 2\n"))
    feed = more.run()
    assert xs(feed)[::2] == points == xs(feed)[1::2]
    assert sum(m.existing is None for m in feed.members.values()) == 16


def test_a_field_that_is_no_longer_varied_ends_its_proposals(
    sweep_of: Callable[[str], Sweep],
) -> None:
    lab = Lab(sweep_of(SWEEPS["two dimensions"]))
    lab.run()
    feed = edited(lab, sweep_of(LINE + OPTUNA)).run()
    assert len(feed.evaluated) == 16
    grid = edited(lab, sweep_of("space: {x: [0.5, 1.0]}\n")).run()
    assert xs(grid) == [0.5, 1.0]


def test_a_stopped_trial_stays_so_if_the_driver_dies_before_it_says_so(
    sweep_of: Callable[[str], Sweep],
) -> None:
    for method in ("asha", "median"):
        sweep = sweep_of(LINE + OPTUNA + STOPPED.replace("METHOD", method))
        whole = Lab(sweep)
        expected = result(whole.run())
        n = next(
            n
            for n, event in enumerate(whole.events)
            if isinstance(event, Finished) and event.outcome.state is TrialState.PRUNED
        )
        assert isinstance(whole.events[n - 1], Reported)
        for fresh in (True, False):
            cut = Lab(sweep)
            with pytest.raises(Killed):
                cut.run(n)
            assert result(cut.run(fresh=fresh)) == expected
