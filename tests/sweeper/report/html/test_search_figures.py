from dataclasses import replace

import pytest

from sweeper.declare.search import Bounds, Objective, Search
from sweeper.records import TrialState
from sweeper.report.html.search_figures import search_figures

LOSS = Objective(metric="loss", direction="minimise")
SEARCH = Search(method="optuna", objectives=(LOSS,), constraints={"l0": Bounds(max=30)})


@pytest.fixture
def rows(make_row):
    """Settings by start: l0 falls with the penalty and the loss rises; the second is too dense."""
    chosen = ((0.3, 20.0, 0.5), (0.1, 40.0, 0.2), (0.25, 25.0, 0.4), (0.35, 15.0, 0.6))
    return [
        make_row(
            size, penalty, seed=seed, started_ms=1000 * n, metrics={"l0": l0, "loss": loss + seed}
        )
        for n, (penalty, l0, loss) in enumerate(chosen)
        for size, seed in (("2x" if n % 2 else "4x", 0), ("2x" if n % 2 else "4x", 1))
    ]


def rate(assignments, values):
    assert [set(one) for one in assignments] == [{"size", "penalty"}] * len(values)
    return {"penalty": 0.75, "size": 0.25}


def by_title(found):
    return {one.title: one.figure for one in found}


def test_the_history_has_each_setting_once_and_the_best_within_the_constraint(rows, kind) -> None:
    figure = by_title(search_figures(rows[::-1], kind, SEARCH, None))["History of the search"]
    loss_in, loss_out, l0_in, l0_out, best = figure.data
    assert (list(loss_in.x), list(loss_in.y)) == ([1, 3, 4], pytest.approx([1.0, 0.9, 1.1]))
    assert (list(loss_out.x), list(loss_out.y)) == ([2], pytest.approx([0.7]))
    assert (list(l0_in.y), list(l0_out.y)) == ([20, 25, 15], [40])
    assert (l0_in.yaxis, loss_in.yaxis) == ("y2", "y")
    assert list(best.y) == pytest.approx([1.0, 1.0, 0.9, 0.9])
    (limit,) = figure.layout.shapes
    assert (limit.yref, limit.y0, limit.y1) == ("y2", 30, 30)
    assert figure.layout.yaxis2.domain[1] < figure.layout.yaxis.domain[0]


def test_nulls_and_settings_without_all_their_seeds_are_not_in_the_history(rows, kind) -> None:
    null = rows[0].model_copy(update={"is_control": True, "params": rows[0].params | {"null": "g"}})
    failed = rows[2].model_copy(update={"state": TrialState.FAILED, "metrics": {}})
    figure = search_figures([*rows[:2], failed, *rows[3:], null], kind, SEARCH, None)[0].figure
    assert sum(len(trace.x) for trace in figure.data[:2]) == 3


def test_importance_is_that_of_each_ranked_metric(rows, kind) -> None:
    bars = by_title(search_figures(rows, kind, SEARCH, rate))["Importance of each field"].data
    assert [bar.name for bar in bars] == ["loss", "l0"]
    for bar in bars:
        assert dict(zip(bar.y, bar.x, strict=True)) == {"penalty": 0.75, "size": 0.25}


def test_one_searched_field_has_no_importance(rows, kind) -> None:
    one_size = [r.model_copy(update={"params": r.params | {"size": "2x"}}) for r in rows]
    titles = [one.title for one in search_figures(one_size, kind, SEARCH, rate)]
    assert titles == ["History of the search", "Settings and what they gave"]


def test_parallel_coordinates_run_through_fields_and_metrics(rows, kind) -> None:
    figure = by_title(search_figures(rows, kind, SEARCH, None))["Settings and what they gave"]
    assert figure.layout.xaxis.ticktext == ("size", "penalty", "l0", "loss")
    beyond, *feasible = figure.data
    assert list(beyond.x) == [0, 1, 2, 3, None]
    # the least penalty and loss, the largest l0: at the ends of their axes
    assert list(beyond.y) == pytest.approx([0, 0, 1, 0, None])
    assert sum(list(trace.x).count(None) for trace in feasible) == 3
    best = feasible[-1]
    assert list(best.y)[:4] == pytest.approx([1, 0.6, 0.4, 0.5])
    labels = {(note.x, note.text) for note in figure.layout.annotations}
    assert {(0, "2x"), (0, "4x"), (1, "0.1"), (1, "0.35"), (2, "40")} <= labels


def test_several_objectives_have_panels_and_no_single_best(rows, kind) -> None:
    both = (LOSS, Objective(metric="l0", direction="minimise"))
    search = SEARCH.model_copy(update={"objectives": both, "constraints": {}})
    figure = search_figures(rows, kind, search, None)[0].figure
    assert "best so far" not in {trace.name for trace in figure.data}
    assert {trace.yaxis for trace in figure.data} == {"y", "y2"}


def test_hostile_names_are_text(rows, kind) -> None:
    hostile = "<img src=x>"
    changed = [r.model_copy(update={"params": r.params | {"size": hostile * (1 + n // 4)}})
               for n, r in enumerate(rows)]  # fmt: skip
    titled = replace(kind, metrics=tuple(replace(m, title=hostile) for m in kind.metrics))
    for one in search_figures(changed, titled, SEARCH, None):
        assert "<img" not in one.figure.to_json().replace("\\u003c", "<")
