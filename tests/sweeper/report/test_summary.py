import math
from dataclasses import replace
from typing import Any

import optuna
from hypothesis import given
from hypothesis import strategies as st

from sweeper.declare.search import Best, Bounds, Objective, Search, default_search
from sweeper.records import TrialRow, TrialState
from sweeper.report.summary import best_settings, count, headline_metrics, varying_fields


def test_the_best_is_complete_certified_finite_and_no_null(make_row, kind) -> None:
    rows = [
        make_row(penalty=0.1, metrics={"bits": 5.0}),
        make_row(penalty=0.2, metrics={"bits": 3.0}),
        make_row(penalty=0.3, metrics={"bits": 1.0}, uncertified="gap too wide"),
        make_row(penalty=0.4, metrics={"bits": 0.0}, null="gaussian"),
        make_row(penalty=0.5, metrics={"bits": -1.0}, state=TrialState.PRUNED),
        make_row(penalty=0.6, metrics={"bits": math.nan}),
        make_row(penalty=0.7, metrics={"bits": -math.inf}),
    ]
    best = best_settings(rows, default_search(kind)).best
    assert [candidate.item.rows[0].params["penalty"] for candidate in best.front] == [0.2]
    assert best_settings(rows[2:], default_search(kind)).best.front == []


def test_a_metric_to_maximise_is_maximised(make_row, kind) -> None:
    rows = [make_row(penalty=p, metrics={"score": p}) for p in (0.1, 0.9, 0.5)]
    (best,) = best_settings(rows, default_search(replace(kind, objective="score"))).best.front
    assert best.item.rows[0].params["penalty"] == 0.9


def test_a_trial_beyond_a_constraint_is_never_best(make_row) -> None:
    rows = [
        make_row(penalty=p, metrics={"bits": bits, "loss": loss})
        for p, bits, loss in ((0.1, 1.0, 0.9), (0.2, 2.0, 0.5), (0.3, 3.0, 0.2))
    ]
    objectives = (Objective(metric="bits", direction="minimise"),)

    def search(**bounds: float) -> Search:
        limits = {"loss": Bounds(**bounds)}
        return Search(method="optuna", objectives=objectives, constraints=limits)

    (best,) = best_settings(rows, search(max=0.5)).best.front
    assert best.item.rows[0].params["penalty"] == 0.2, "a bound belongs to what it allows"
    (best,) = best_settings(rows, search(min=0.1, max=0.3)).best.front
    assert best.item.rows[0].params["penalty"] == 0.3
    none = best_settings(rows, search(max=0.1)).best
    assert none.front == []
    assert none.nearest is not None
    assert none.nearest.item.rows[0].params["penalty"] == 0.3
    assert none.beyond() == "loss 0.2, not <= 0.1"


def test_several_objectives_have_a_front_of_trials_within_the_constraints(make_row) -> None:
    points = [(1.0, 9.0), (2.0, 4.0), (3.0, 5.0), (4.0, 1.0), (2.0, 4.0), (0.5, 8.0)]
    rows = [
        make_row(penalty=(n + 1) / 10, metrics={"bits": x, "score": -y, "loss": x})
        for n, (x, y) in enumerate(points)
    ]
    objectives = (
        Objective(metric="bits", direction="minimise"),
        Objective(metric="score", direction="maximise"),
    )

    def front(**more: object) -> list[object]:
        search = Search(method="optuna", objectives=objectives, **more)
        return [c.item.rows[0].params["penalty"] for c in best_settings(rows, search).best.front]

    assert front() == [0.6, 0.2, 0.5, 0.4], "ordered by the first objective, equals as they came"
    assert front(constraints={"loss": Bounds(min=1.0)}) == [0.1, 0.2, 0.5, 0.4]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6)), max_size=30))
def test_the_front_is_every_point_that_none_dominates(points: list[tuple[int, int, int]]) -> None:
    objectives = tuple(Objective(metric=m, direction="minimise") for m in "abc")
    best: Best[int] = Best(Search(objectives=objectives))
    for n, point in enumerate(points):
        best.offer(n, dict(zip("abc", map(float, point), strict=True)))
    undominated = [
        p for p in points if not any(q != p and all(map(int.__le__, q, p)) for q in points)
    ]
    assert sorted(c.losses for c in best.front) == sorted(undominated)


@given(
    st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=12),
    st.integers(1, 3),
    st.booleans(),
)
def test_the_front_is_that_of_an_optuna_study_told_the_means(
    points: list[tuple[int, int, int]], n_seeds: int, is_constrained: bool
) -> None:
    """Each point is a setting: its seeds lie to either side of it, so that any one may mislead."""
    constraints = {"c": Bounds(max=2.0)} if is_constrained else {}
    objectives = (
        Objective(metric="a", direction="minimise"),
        Objective(metric="b", direction="maximise"),
    )
    search = Search(method="optuna", objectives=objectives, constraints=constraints)
    study = optuna.create_study(directions=["minimize", "maximize"])
    rows = []
    for n, point in enumerate(points):
        offsets = [seed - (n_seeds - 1) / 2 for seed in range(n_seeds)]
        for seed, offset in enumerate(offsets):
            a, b, c = (value + offset * (-1) ** n * 8 for value in point)
            rows.append(toy_row(n, seed, {"a": a, "b": b, "c": c}))
        trial = study.ask()
        if is_constrained:
            trial.set_constraint("c", search.violations({"c": float(point[2])})["c"])
        study.tell(trial, [float(point[0]), float(point[1])])
    ours = best_settings(rows, search, range(n_seeds)).best.front
    assert sorted(int(c.item.rows[0].params["n"]) for c in ours) == sorted(
        trial.number for trial in study.best_trials
    )


def toy_row(n: int, seed: int, metrics: dict[str, float]) -> TrialRow:
    return TrialRow(
        run_id=f"run{n}-{seed}",
        sweep="toys",
        submission="1",
        kind="toy",
        kind_version=1,
        key=f"{n}-{seed}",
        state=TrialState.COMPLETE,
        label=f"n={n} seed={seed}",
        params={"n": n, "seed": seed},
        metrics=metrics,
        varied=("n", "seed"),
    )


def test_a_lucky_seed_is_not_the_best(kind) -> None:
    lucky = [toy_row(0, seed, {"bits": bits}) for seed, bits in enumerate((-9.0, 5.0, 5.0))]
    steady = [toy_row(1, seed, {"bits": -1.0}) for seed in range(3)]
    (best,) = best_settings([*lucky, *steady], default_search(kind)).best.front
    assert best.item.rows == tuple(steady)
    assert best.metrics == {"bits": -1.0}


def test_a_setting_competes_once_all_of_its_seeds_count(kind) -> None:
    def rows(n: int, bits: float, **last: Any) -> list[TrialRow]:
        first = toy_row(n, 0, {"bits": bits})
        return [first, toy_row(n, 1, {"bits": bits}).model_copy(update=last)]

    whole = rows(1, 5.0)
    others = [
        rows(2, 1.0, state=TrialState.FAILED, metrics={}),
        rows(3, 2.0, uncertified="gap"),
        rows(4, 3.0, state=TrialState.RUNNING, metrics={}),
        rows(5, 4.0)[:1],
    ]
    every = [*whole, *(row for of in others for row in of)]
    ranking = best_settings(every, default_search(kind), (0, 1))
    assert [c.item.rows[0].params["n"] for c in ranking.best.front] == [1]
    assert ranking.partial == (
        "4 settings without all 2 seeds complete and certified do not compete"
    )
    alone = best_settings([row for of in others for row in of], default_search(kind), (0, 1))
    assert (alone.best.front, alone.n_partial) == ([], 4)


def test_without_declared_seeds_those_settings_compete_that_have_most(kind) -> None:
    rows = [toy_row(1, seed, {"bits": 5.0}) for seed in range(2)] + [toy_row(2, 0, {"bits": 1.0})]
    ranking = best_settings(rows, default_search(kind))
    assert [c.item.rows[0].params["n"] for c in ranking.best.front] == [1]
    declared = best_settings(rows, default_search(kind), (0,))
    assert [c.item.rows[0].params["n"] for c in declared.best.front] == [2]


def test_trials_are_counted_by_state(make_row) -> None:
    rows = [make_row(penalty=i / 10, state=state) for i, state in enumerate(TrialState, 1)]
    rows += [make_row(penalty=0.8, null="gaussian"), make_row(penalty=0.9, uncertified="x")]
    counts = count(rows)
    assert (counts.total, counts.complete, counts.failed, counts.pruned) == (7, 3, 1, 1)
    assert (counts.unfinished, counts.uncertified, counts.controls) == (2, 1, 1)


def test_fields_that_vary_come_in_the_order_of_the_config(make_row, kind) -> None:
    rows = [make_row(penalty=0.1, null="none", seed=0), make_row(penalty=0.2, null="none", seed=1)]
    assert varying_fields(rows, kind) == ("seed", "penalty")
    mixed = [make_row(size=4), make_row(size="4")]
    assert varying_fields(mixed, kind) == ("size",)


def test_headline_metrics_name_each_once(kind) -> None:
    assert headline_metrics(kind, default_search(kind)) == ("bits", "loss", "l0")
    by_loss = default_search(replace(kind, objective="loss"))
    assert headline_metrics(kind, by_loss) == ("loss", "l0", "bits")
