import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sweeper.declare.best import Best
from sweeper.declare.search import Bounds, Objective, Search, default_search
from sweeper.look.summary import best_trials, count, headline_metrics, varying_fields
from sweeper.records import TrialState


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
    best = best_trials(rows, default_search(kind))
    assert [candidate.item.params["penalty"] for candidate in best.front] == [0.2]
    assert best_trials(rows[2:], default_search(kind)).front == []


def test_a_metric_to_maximise_is_maximised(make_row, kind) -> None:
    rows = [make_row(penalty=p, metrics={"score": p}) for p in (0.1, 0.9, 0.5)]
    (best,) = best_trials(rows, default_search(replace(kind, objective="score"))).front
    assert best.item.params["penalty"] == 0.9


def test_a_trial_beyond_a_constraint_is_never_best(make_row) -> None:
    rows = [
        make_row(penalty=p, metrics={"bits": bits, "loss": loss})
        for p, bits, loss in ((0.1, 1.0, 0.9), (0.2, 2.0, 0.5), (0.3, 3.0, 0.2))
    ]
    objectives = (Objective(metric="bits", direction="minimise"),)

    def search(**bounds: float) -> Search:
        limits = {"loss": Bounds(**bounds)}
        return Search(method="optuna", objectives=objectives, constraints=limits)

    (best,) = best_trials(rows, search(max=0.5)).front
    assert best.item.params["penalty"] == 0.2, "a bound belongs to what it allows"
    (best,) = best_trials(rows, search(min=0.1, max=0.3)).front
    assert best.item.params["penalty"] == 0.3
    none = best_trials(rows, search(max=0.1))
    assert none.front == []
    assert none.nearest is not None
    assert none.nearest.item.params["penalty"] == 0.3
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
        return [c.item.params["penalty"] for c in best_trials(rows, search).front]

    assert front() == [0.6, 0.2, 0.4], "ordered by the first objective, of equals the first"
    assert front(constraints={"loss": Bounds(min=1.0)}) == [0.1, 0.2, 0.4]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6)), max_size=30))
def test_the_front_is_every_point_that_none_dominates(points: list[tuple[int, int, int]]) -> None:
    objectives = tuple(Objective(metric=m, direction="minimise") for m in "abc")
    best: Best[int] = Best(Search(objectives=objectives))
    for n, point in enumerate(points):
        best.offer(n, dict(zip("abc", map(float, point), strict=True)))
    undominated = {
        p for p in points if not any(q != p and all(map(int.__le__, q, p)) for q in points)
    }
    assert sorted(c.losses for c in best.front) == sorted(undominated)
    assert all(points.index(points[c.item]) == c.item for c in best.front)


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
