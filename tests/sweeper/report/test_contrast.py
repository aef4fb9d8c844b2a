import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sweeper.records import TrialState
from sweeper.report import matched
from sweeper.report.contrast import contrasts, overall, spread
from sweeper.report.matched import Curve, interpolate, matched_pairs
from trials.api import Comparison

AT_L0 = Comparison("loss", at="l0")
positive = st.integers(1, 10**6).map(lambda n: n / 1000)


def test_a_power_law_is_interpolated_exactly_and_never_extrapolated() -> None:
    points = [(x, 3 * x**-0.5) for x in (100.0, 10.0, 30.0)]
    for x in (10.0, 12.5, 30.0, 77.0, 100.0):
        assert interpolate(points, x) == pytest.approx(3 * x**-0.5, rel=1e-12)
    assert math.isnan(interpolate(points, 9.99))
    assert math.isnan(interpolate(points, 100.1))
    assert math.isnan(interpolate([], 10.0))


def test_values_that_are_not_positive_are_interpolated_linearly() -> None:
    assert interpolate([(1.0, -2.0), (4.0, 4.0)], 2.0) == pytest.approx(1.0)  # halfway in log x
    assert interpolate([(0.0, 1.0), (4.0, 3.0)], 2.0) == pytest.approx(math.sqrt(3))
    assert interpolate([(-1.0, -1.0), (1.0, 1.0)], 0.25) == pytest.approx(0.25)


@given(st.dictionaries(positive, positive, min_size=1, max_size=8), st.data())
def test_the_curve_passes_through_its_points_and_stays_between_them(
    curve: dict[float, float], data: st.DataObject
) -> None:
    x = data.draw(st.sampled_from(sorted(curve)))
    assert interpolate(list(curve.items()), x) == pytest.approx(curve[x], rel=1e-9)
    between = data.draw(st.floats(min(curve), max(curve)))
    value = interpolate(list(curve.items()), between)
    assert min(curve.values()) * (1 - 1e-9) <= value <= max(curve.values()) * (1 + 1e-9)


@given(positive, positive)
def test_a_single_x_has_a_value_exactly_there_and_nowhere_else(x: float, y: float) -> None:
    assert interpolate([(x, y)], x) == pytest.approx(y, rel=1e-12)
    assert interpolate([(x, y), (x, y)], x) == pytest.approx(y, rel=1e-12)
    for other in (math.nextafter(x, math.inf), math.nextafter(x, 0.0), 2 * x, -x):
        assert math.isnan(interpolate([(x, y)], other))


def test_equal_x_are_averaged() -> None:
    assert interpolate([(1.0, 1.0), (1.0, 4.0), (2.0, 9.0)], 1.0) == pytest.approx(2.0)


def test_the_interval_is_students_t() -> None:
    values = [1.0, 2.0, 4.0, 7.0]
    found = spread([*values, math.nan])
    low, high = stats.t.interval(0.95, 3, loc=3.5, scale=stats.sem(values))
    assert (found.n, found.mean, found.min, found.max) == (4, 3.5, 1.0, 7.0)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_the_mean_of_ratios_is_geometric_and_one_seed_has_no_interval() -> None:
    assert spread([0.5, 2.0], geometric=True).mean == pytest.approx(1.0)
    one = spread([0.5], geometric=True)
    assert one.mean == 0.5
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    assert spread([]).n == 0


def test_a_planted_ratio_is_recovered_with_its_spread(power_law_rows, kind) -> None:
    pairs = matched_pairs(power_law_rows, kind.control, AT_L0)
    inside = [pair for pair in pairs if not math.isnan(pair.null_value)]
    assert len(pairs) == 12
    assert [pair.at for pair in pairs if math.isnan(pair.null_value)] == [9.0] * 4
    for pair in inside:
        assert pair.null_value == pytest.approx(pair.at**-0.5)
        assert pair.effect == pytest.approx(0.7 * (0.99 if pair.seed == 0 else 1.01))

    (whole,) = overall(pairs, AT_L0)
    expected = 0.7 * math.sqrt(0.99 * 1.01)
    assert (whole.null, whole.n_pairs, whole.n_outside) == ("gaussian", 12, 4)
    assert whole.effect.n == 2
    assert whole.effect.mean == pytest.approx(expected)
    assert whole.effect.low < expected < whole.effect.high
    assert (whole.effect_min, whole.effect_max) == pytest.approx((0.7 * 0.99, 0.7 * 1.01))


def test_a_difference_is_real_minus_null_in_the_unit_of_the_metric(make_row, kind) -> None:
    bits_at_loss = Comparison("bits", at="loss", shown="difference")
    rows = [
        make_row(
            null=null, penalty=p, seed=seed, metrics={"l0": 1.0, "loss": loss, "bits": bits - shift}
        )
        for seed, extra in ((0, 1.0), (1, 2.0))
        for p, loss, bits in ((0.1, 0.1, 8.0), (0.2, 0.4, 4.0))
        for null, shift in (("gaussian", 0.0), ("none", 5.0 + extra))
    ]
    (whole,) = overall(matched_pairs(rows, kind.control, bits_at_loss), bits_at_loss)
    found = (whole.effect.mean, whole.effect_min, whole.effect_max)
    assert found == pytest.approx((-6.5, -7.0, -6.0))
    assert whole.effect.low < -6.5 < whole.effect.high


def test_a_metric_measured_at_one_fixed_x_is_compared_seed_by_seed(make_row, kind) -> None:
    rows = [
        make_row(null=null, seed=seed, metrics={"l0": 20.0, "loss": loss + seed / 100})
        for seed in (0, 1, 2)
        for null, loss in (("none", 0.3), ("gaussian", 0.6))
    ]
    (found,) = contrasts(matched_pairs(rows, kind.control, AT_L0), AT_L0)
    assert found.effect.n == 3
    assert found.effect.min == pytest.approx(0.3 / 0.6)
    assert found.effect.max == pytest.approx(0.32 / 0.62)
    rows[0] = rows[0].model_copy(update={"metrics": {"l0": 20.000001, "loss": 0.3}})
    (found,) = contrasts(matched_pairs(rows, kind.control, AT_L0), AT_L0)
    assert found.effect.n == 2, "nothing is extrapolated, however close"


def test_settings_are_gathered_over_seeds_in_natural_order(power_law_rows, kind) -> None:
    found = contrasts(matched_pairs(power_law_rows, kind.control, AT_L0), AT_L0)
    settings = [(dict(c.setting)["size"], dict(c.setting)["penalty"]) for c in found]
    assert settings == [(s, p) for p in (0.1, 0.2, 0.4) for s in ("2x", "10x")]
    assert [c.real.n for c in found] == [2] * 6
    assert [c.effect.n for c in found] == [2, 2, 2, 2, 0, 0]
    assert all("seed" not in dict(c.setting) and "null" not in dict(c.setting) for c in found)


def test_only_a_null_of_the_same_seed_and_group_is_compared(make_row, kind) -> None:
    def curve(**where):
        return [
            make_row(null="gaussian", penalty=p, metrics={"l0": x, "loss": 1.0}, **where)
            for p, x in ((0.1, 1.0), (0.2, 9.0))
        ]

    real = make_row(seed=1, size="2x", metrics={"l0": 3.0, "loss": 0.5})
    for other in ({"seed": 0, "size": "2x"}, {"seed": 1, "size": "4x"}):
        (pair,) = matched_pairs([real, *curve(**other)], kind.control, AT_L0)
        assert math.isnan(pair.null_value)
    (pair,) = matched_pairs([real, *curve(seed=1, size="2x")], kind.control, AT_L0)
    assert pair.effect == pytest.approx(0.5)


def test_what_is_uncertified_unfinished_or_nan_is_not_compared(make_row, kind) -> None:
    good = {"l0": 3.0, "loss": 0.5}
    null = make_row(null="gaussian", metrics=good)
    bad = [
        make_row(penalty=0.2, metrics=good, uncertified="gap too wide"),
        make_row(penalty=0.3, metrics=good, state=TrialState.FAILED),
        make_row(penalty=0.4, metrics={"l0": 3.0, "loss": math.nan}),
        make_row(penalty=0.5, metrics={}),
    ]
    assert matched_pairs([null, *bad], kind.control, AT_L0) == []
    untrusted = null.model_copy(update={"uncertified": "x"})
    assert matched_pairs([make_row(metrics=good), untrusted], kind.control, AT_L0) == []


def test_a_null_of_another_input_or_version_is_not_compared(make_row, kind) -> None:
    def row(loss: float, at: int, **more):
        return make_row(metrics={"l0": 3.0, "loss": loss}, started_ms=at, **more)

    def inputs(source: str, **more: str):
        return {"provenance": {f"input.{k}": v for k, v in {"source": source, **more}.items()}}

    real = [row(0.5, 9, **inputs("b"))]
    nulls = [
        row(1.0, 1, null="gaussian", **inputs("a")),
        row(2.0, 2, null="gaussian", kind_version=2, **inputs("b")),
    ]
    (pair,) = matched_pairs([*real, *nulls], kind.control, AT_L0)
    assert math.isnan(pair.null_value)
    nulls += [
        row(4.0, 3, null="gaussian", **inputs("b", initial="i")),
        row(8.0, 4, null="gaussian", **inputs("b", initial="j")),
    ]
    (pair,) = matched_pairs([*real, *nulls], kind.control, AT_L0)
    assert pair.null_value == pytest.approx(8.0), "of two that fit the newest, never their mean"


def test_one_config_on_two_inputs_is_two_settings(make_row, kind) -> None:
    rows = [
        make_row(null=null, metrics={"l0": 3.0, "loss": loss}, provenance={"input.source": source})
        for source, losses in (("a", (0.5, 1.0)), ("b", (0.9, 1.0)))
        for null, loss in zip(("none", "gaussian"), losses, strict=True)
    ]
    found = contrasts(matched_pairs(rows, kind.control, AT_L0), AT_L0)
    assert [(c.effect.n, round(c.effect.mean, 6)) for c in found] == [(1, 0.5), (1, 0.9)]


BEST = Comparison("loss", at="l0", also=(("score", "l0"),), across=("name",))


def by_methods(make_row):
    """Coders `loss` and `score`, learners x and y: the real rows win by another one than nulls."""
    values = {
        ("none", "x"): (0.8, 0.6),
        ("none", "y"): (0.7, 0.5),
        ("gaussian", "x"): (1.0, 0.9),
        ("gaussian", "y"): (0.75, 0.95),
    }
    rows = []
    for (null, learner), (loss, score) in values.items():
        for penalty, l0 in ((0.4, 10.0), (0.2, 20.0)):
            metrics = {"l0": l0, "loss": loss, "score": score, "bits": 0.0}
            row = make_row("2x", penalty, null, 0, metrics)
            key = f"{row.key} {learner}"
            params = row.params | {"name": learner}
            rows.append(row.model_copy(update={"params": params, "key": key, "run_id": key}))
    return rows


def test_the_best_of_all_methods_counts_for_real_and_null_each(kind, make_row) -> None:
    assert kind.control
    pairs = matched_pairs(by_methods(make_row), kind.control, BEST)
    assert len(pairs) == 4
    for pair in pairs:
        assert (pair.real, pair.null_value) == pytest.approx((0.5, 0.75))
        assert (pair.real_method, pair.null_method) == ("score, name y", "loss, name y")
        assert dict(pair.by_method) == pytest.approx(
            {
                "loss, name x": 0.8,
                "loss, name y": 0.7 / 0.75,
                "score, name x": 0.6 / 0.9,
                "score, name y": 0.5 / 0.95,
            }
        )
    (whole,) = overall(pairs, BEST)
    assert whole.effect.mean == pytest.approx(0.5 / 0.75)
    assert whole.methods is not None
    assert (whole.methods.low, whole.methods.high) == pytest.approx((0.5 / 0.95, 0.7 / 0.75))
    assert whole.methods.low < whole.effect.mean < whole.methods.high
    assert (whole.methods.real, whole.methods.null) == (("score, name y",), ("loss, name y",))


def test_a_method_that_only_one_side_has_favours_nobody(kind, make_row) -> None:
    assert kind.control
    rows = [
        row for row in by_methods(make_row) if not (row.is_control and row.params["name"] == "y")
    ]
    for pair in matched_pairs(rows, kind.control, BEST):
        if pair.real_method:
            assert (pair.real, pair.null_value) == pytest.approx((0.6, 0.9))
            assert pair.real_method == "score, name x"


def test_without_several_methods_nothing_is_said_of_them(power_law_rows, kind) -> None:
    assert kind.control
    for one in overall(matched_pairs(power_law_rows, kind.control, AT_L0), AT_L0):
        assert one.methods is None


def test_a_method_is_named_by_its_metric_without_the_side(make_row, kind) -> None:
    comparison = Comparison("a_omp_out", at="b_omp_out", also=(("a_out", "b_out"),))
    metrics = {"a_omp_out": 1.0, "b_omp_out": 2.0, "a_out": 1.5, "b_out": 2.0}
    rows = [make_row(null=null, metrics=metrics) for null in ("none", "gaussian")]
    (pair,) = matched_pairs(rows, kind.control, comparison)
    assert [name for name, _ in pair.by_method] == ["a omp", "a"]


def test_a_null_s_curve_is_prepared_once_however_many_trials_read_it(
    make_row, kind, monkeypatch
) -> None:
    made = []

    class Counted(Curve):
        def __init__(self, points) -> None:
            made.append(len(points))
            super().__init__(points)

    monkeypatch.setattr(matched, "Curve", Counted)
    rows = [
        make_row(penalty=(i + 1) / 200, null=null, metrics={"l0": i + 1.0, "loss": 1.0})
        for null in ("none", "gaussian")
        for i in range(100)
    ]
    pairs = matched_pairs(rows, kind.control, kind.control.comparisons[0])
    assert len(pairs) == 100
    assert sorted(made) in ([100], [0, 100])  # one null; real has a curve where methods compete
