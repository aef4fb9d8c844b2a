import math
from dataclasses import replace

from sweeper.look.summary import best_trial, count, headline_metrics, varying_fields
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
    best = best_trial(rows, kind)
    assert best is not None
    assert best.params["penalty"] == 0.2
    assert best_trial(rows[2:], kind) is None


def test_a_metric_to_maximise_is_maximised(make_row, kind) -> None:
    rows = [make_row(penalty=p, metrics={"score": p}) for p in (0.1, 0.9, 0.5)]
    best = best_trial(rows, replace(kind, objective="score"))
    assert best is not None
    assert best.params["penalty"] == 0.9


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
    assert headline_metrics(kind) == ("bits", "loss", "l0")
    assert headline_metrics(replace(kind, objective="loss")) == ("loss", "l0")
