from dataclasses import replace

import numpy as np
import pytest

from sweeper.records import TrialState
from sweeper.report.contrast import contrasts
from sweeper.report.html.effect_figure import draw_effects, is_crowded
from sweeper.report.html.figures import draw
from sweeper.report.html.points import gathered, setting_points
from sweeper.report.matched import matched_pairs
from trials.api import Bound, Chart

BY_SIZE = Chart("Loss against l0", "l0", "loss", colour="size", log_x=True)


def data_traces(figure):
    return [trace for trace in figure.data if trace.x[0] is not None]


def test_a_line_joins_the_settings_of_one_size_and_null_along_x(power_law_rows, kind) -> None:
    figure = draw(BY_SIZE, power_law_rows, kind).figure
    lines = data_traces(figure)
    assert len(lines) == 4  # 2 sizes, real and null
    assert sorted({tuple(line.x) for line in lines}) == [(9.0, 27.0, 90.0), (10.0, 30.0, 100.0)]


def test_a_point_is_the_mean_over_seeds_with_the_range_as_bars(power_law_rows, kind) -> None:
    figure, note = draw(BY_SIZE, power_law_rows, kind)
    assert note == "Means over up to 2 seeds; bars: lowest to highest seed."
    real = next(line for line in data_traces(figure) if line.x[0] == 9.0)
    assert real.y == pytest.approx([0.7 * x**-0.5 for x in real.x])
    reach = [0.01 * y for y in real.y]  # the seeds lie 1 % to either side
    assert real.error_y.array == pytest.approx(reach)
    assert real.error_y.arrayminus == pytest.approx(reach)
    null = next(line for line in data_traces(figure) if line.x[0] == 10.0)
    assert null.error_y.array is None  # its seeds are equal
    assert "mean of 2 seeds" in real.text[0]
    one = [row for row in power_law_rows if row.params["seed"] == 0]
    assert draw(BY_SIZE, one, kind).note == ""


def many_settings(make_row, n: int) -> list:
    return [
        make_row(penalty=(i + 1) / (2 * n), metrics={"l0": float(i + 1), "loss": i + (i % 2) * 0.5})
        for i in range(n)
    ]


def test_many_settings_are_gathered_along_x_in_a_few_colours(make_row, kind) -> None:
    rows = many_settings(make_row, 4000)
    figure, note = draw(replace(BY_SIZE, colour="penalty"), rows, kind)
    traces = data_traces(figure)
    assert len(traces) == 5
    assert {len(trace.x) for trace in traces} == {20}
    assert note.startswith("4,000 settings in 100 groups of neighbours along x: medians; bars:")
    for trace in traces:
        assert list(trace.x) == sorted(trace.x)
        assert np.array(trace.y) == pytest.approx(np.array(trace.x) - 0.75, abs=0.6)
        assert all(0 < reach < 20 for reach in trace.error_y.array)  # of 40 neighbours
    assert "0.1001 to 0.2" in {trace.name for trace in traces}


def test_gathering_keeps_every_trial_and_each_null_apart(make_row, kind) -> None:
    rows = many_settings(make_row, 700)
    nulls = [row.model_copy(update={"params": row.params | {"null": "gaussian"}}) for row in rows]
    points = setting_points([*rows, *nulls], BY_SIZE, kind, "null")
    found = gathered(points, max_points=100)
    assert len(points) == 1400
    assert len(found) == 2 * 20
    assert sum(len(point.rows) for point in found) == 1400
    assert all({row.params["null"] for row in point.rows} == {point.dash} for point in found)


def test_real_is_solid_and_null_dashed_in_the_colour_of_its_size(power_law_rows, kind) -> None:
    lines = data_traces(draw(BY_SIZE, power_law_rows, kind).figure)
    for line in lines:
        assert line.line.dash == ("solid" if line.x[0] == 9.0 else "dash")
    assert len({(line.name, line.line.color) for line in lines}) == 2
    assert [line.name for line in lines if line.showlegend] == ["2x", "10x"]


def test_a_chart_over_size_joins_sizes_in_natural_order(power_law_rows, kind) -> None:
    figure = draw(Chart("Loss", "size", "loss", colour="penalty"), power_law_rows, kind).figure
    assert figure.layout.xaxis.type == "category"
    assert figure.layout.xaxis.categoryarray == ("2x", "10x")
    lines = data_traces(figure)
    assert len(lines) == 6  # 3 penalties, real and null
    assert all(tuple(line.x) == ("2x", "10x") for line in lines)


def test_the_field_that_moves_x_most_traces_the_line(make_row, kind) -> None:
    rows = [
        make_row(size, penalty, metrics={"l0": 100 * penalty + float(size), "loss": 1.0})
        for size in (1, 2)
        for penalty in (0.1, 0.2, 0.3)
    ]
    lines = data_traces(draw(Chart("Loss", "l0", "loss"), rows, kind).figure)
    assert sorted(tuple(line.x) for line in lines) == [(11.0, 21.0, 31.0), (12.0, 22.0, 32.0)]


def test_an_uncertified_trial_is_a_cross_and_says_why(make_row, kind) -> None:
    good, other = {"l0": 1.0, "loss": 0.5}, {"l0": 2.0, "loss": 0.5}
    rows = [make_row(metrics=good), make_row(penalty=0.2, metrics=other, uncertified="gap <b>")]
    (line,) = data_traces(draw(BY_SIZE, rows, kind).figure)
    symbols = dict(zip(line.text, line.marker.symbol, strict=True))
    (cross,) = [text for text, symbol in symbols.items() if symbol == "x-open"]
    assert "uncertified: gap &lt;b&gt;" in cross
    assert len(symbols) == 2


def test_an_uncertified_seed_is_kept_out_of_the_mean_of_its_setting(make_row, kind) -> None:
    rows = [
        make_row(penalty=p, seed=seed, metrics={"l0": 10 * p, "loss": loss}, uncertified=why)
        for p in (0.1, 0.2)
        for seed, loss, why in ((0, 1.0, ""), (1, 2.0, ""), (2, 90.0, "gap"))
    ]
    (line,) = data_traces(draw(BY_SIZE, rows, kind).figure)
    assert sorted(zip(line.y, line.marker.symbol, strict=True)) == [
        (1.5, "circle"),
        (1.5, "circle"),
        (90.0, "x-open"),
        (90.0, "x-open"),
    ]


def test_a_chart_with_one_x_or_none_is_left_out_without_a_word(make_row, kind) -> None:
    rows = [make_row(metrics={"loss": 0.5}), make_row(penalty=0.2, state=TrialState.FAILED)]
    assert draw(BY_SIZE, rows, kind) == (None, "")
    assert draw(BY_SIZE, [], kind) == (None, "")
    one_size = [make_row(penalty=p, metrics={"l0": p, "loss": p}) for p in (0.1, 0.2)]
    assert draw(Chart("Loss", "size", "loss", colour="penalty"), one_size, kind) == (None, "")
    assert draw(BY_SIZE, one_size, kind).figure is not None


def test_points_that_a_log_axis_cannot_show_are_counted(make_row, kind) -> None:
    rows = [
        make_row(penalty=p, metrics={"l0": x, "loss": 0.5})
        for p, x in ((0.1, 0.0), (0.2, 4.0), (0.3, 5.0))
    ]
    figure, note = draw(BY_SIZE, rows, kind)
    assert [list(trace.x) for trace in data_traces(figure)] == [[4.0, 5.0]]
    assert note == "1 of 3 complete trials have no place on these axes."


def test_many_numeric_values_get_an_ordered_scale_of_distinct_colours(make_row, kind) -> None:
    rows = [make_row(penalty=p / 100, metrics={"l0": float(p), "loss": p}) for p in range(1, 21)]
    figure = draw(replace(BY_SIZE, colour="penalty"), rows, kind).figure
    assert len({trace.line.color for trace in data_traces(figure)}) == 20
    (bar,) = [trace.marker.colorbar for trace in figure.data if trace.x[0] is None]
    assert bar.ticktext == ("0.01", "0.1", "0.2")
    assert not any(trace.showlegend for trace in figure.data)


def test_labels_reach_plotly_as_text(make_row, kind) -> None:
    rows = [
        make_row(size=f"<b>{n}x</b>", label="<i>x", metrics={"l0": 1.0 * n, "loss": 0.5})
        for n in (4, 5)
    ]
    for chart in (BY_SIZE, replace(BY_SIZE, x="size", log_x=False)):
        text = draw(chart, rows, kind).figure.to_json().replace("\\u003c", "<")
        assert "<b>" not in text
        assert "<i>" not in text


def drawn_effects(rows, kind, comparison):
    found = contrasts(matched_pairs(rows, kind.control, comparison), comparison)
    return draw_effects(found, kind.control, comparison, kind)


def test_the_ratio_is_drawn_a_line_a_group_with_its_interval(power_law_rows, kind) -> None:
    ratio, _ = kind.control.comparisons
    figure = drawn_effects(power_law_rows, kind, ratio)
    assert [trace.name for trace in figure.data] == ["size 2x", "size 10x"]
    for trace in figure.data:
        assert tuple(trace.x) == (27.0, 90.0)
        assert tuple(trace.y) == pytest.approx((0.7 * (0.99 * 1.01) ** 0.5,) * 2)
        assert all(reach > 0 for reach in trace.error_y.array)
    assert figure.layout.yaxis.title.text == "loss: real / null"
    assert figure.layout.shapes[0].y0 == 1
    assert drawn_effects([], kind, ratio) is None


def test_a_difference_is_drawn_about_zero_in_its_unit(power_law_rows, kind) -> None:
    _, difference = kind.control.comparisons
    figure = drawn_effects(power_law_rows, kind, difference)
    assert figure.layout.yaxis.title.text == "bits: real - null"
    assert figure.layout.shapes[0].y0 == 0
    assert all(value > 0 for trace in figure.data for value in trace.y)


def test_a_bound_is_a_line_through_the_real_trials_of_each_group(power_law_rows, kind) -> None:
    bound = Bound(x="score", label="the limit", within=("size",))
    rows = [
        row.model_copy(update={"metrics": row.metrics | {"score": row.metrics["l0"] / 2}})
        for row in power_law_rows
    ]
    before = draw(BY_SIZE, rows, kind).figure
    figure = draw(replace(BY_SIZE, bound=bound), rows, kind).figure
    limits = [trace for trace in figure.data if "the limit" in (trace.name or "")]
    assert len(figure.data) == len(before.data) + 2
    assert [line.name for line in limits] == ["the limit, size 2x", "the limit, size 10x"]
    for line in limits:
        assert line.mode == "lines"
        assert tuple(line.x) == (4.5, 13.5, 45.0)
        real = [r for r in rows if not r.is_control and line.name.endswith(str(r.params["size"]))]
        means = {row.metrics["l0"]: [] for row in real}
        for row in real:
            means[row.metrics["l0"]].append(row.metrics["loss"])
        assert list(line.y) == pytest.approx([np.mean(of) for _, of in sorted(means.items())])
    one = draw(replace(BY_SIZE, bound=replace(bound, within=())), rows, kind).figure
    assert [t.name for t in one.data if "the limit" in (t.name or "")] == ["the limit"]


def test_many_bounds_become_their_median(make_row, kind) -> None:
    bound = Bound(x="score", label="the limit", within=("size",))
    rows = [
        make_row(
            f"{size}x", p, metrics={"l0": 100 * p, "loss": 1 - p, "score": 50 * p + size / 1000}
        )
        for size in range(1, 21)
        for p in (0.1, 0.2, 0.3, 0.4)
    ]
    figure = draw(replace(BY_SIZE, bound=bound), rows, kind).figure
    (limit,) = [trace for trace in figure.data if "the limit" in (trace.name or "")]
    assert limit.name == "the limit, median"
    assert list(limit.y) == pytest.approx([0.9, 0.8, 0.7, 0.6])
    assert list(limit.x) == pytest.approx([50 * p + 0.0105 for p in (0.1, 0.2, 0.3, 0.4)])


def test_many_settings_of_real_vs_null_become_medians_per_null(make_row, kind) -> None:
    ratio, _ = kind.control.comparisons
    rows = []
    for i in range(600):
        l0 = 10.0 + i / 10
        rows.append(make_row(penalty=(i + 1) / 700, metrics={"l0": l0, "loss": 0.7 / l0}))
        null = {"l0": 0.9 * l0 + 4, "loss": 1 / (0.9 * l0 + 4)}
        rows.append(make_row(penalty=(i + 1) / 700, null="gaussian", metrics=null))
    found = contrasts(matched_pairs(rows, kind.control, ratio), ratio)
    assert is_crowded(found, kind.control)
    figure = draw_effects(found, kind.control, ratio, kind)
    (trace,) = figure.data
    assert trace.name == "null gaussian"
    assert len(trace.x) == 20
    assert list(trace.y) == pytest.approx([0.7] * 20, rel=1e-3)
    assert not is_crowded(found[:50], kind.control)
