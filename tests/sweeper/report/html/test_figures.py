from dataclasses import replace

import pytest

from sweeper.records import TrialState
from sweeper.report.contrast import contrasts
from sweeper.report.html.effect_figure import draw_effects
from sweeper.report.html.figures import draw
from sweeper.report.matched import matched_pairs
from trials.api import Bound, Chart

BY_SIZE = Chart("Loss against l0", "l0", "loss", colour="size", log_x=True)


def data_traces(figure):
    return [trace for trace in figure.data if trace.x[0] is not None]


def test_a_line_joins_trials_of_one_size_null_and_seed_along_x(power_law_rows, kind) -> None:
    figure = draw(BY_SIZE, power_law_rows, kind).figure
    lines = data_traces(figure)
    assert len(lines) == 8  # 2 sizes, real and null, 2 seeds
    assert sorted({tuple(line.x) for line in lines}) == [(9.0, 27.0, 90.0), (10.0, 30.0, 100.0)]


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
    assert len(lines) == 12  # 3 penalties, real and null, 2 seeds
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
    good = {"l0": 1.0, "loss": 0.5}
    rows = [make_row(metrics=good), make_row(penalty=0.2, metrics=good, uncertified="gap <b>")]
    (line,) = data_traces(draw(BY_SIZE, rows, kind).figure)
    symbols = dict(zip(line.text, line.marker.symbol, strict=True))
    (cross,) = [text for text, symbol in symbols.items() if symbol == "x-open"]
    assert "uncertified: gap &lt;b&gt;" in cross
    assert len(symbols) == 2


def test_a_chart_of_a_metric_that_no_trial_has_is_left_out_with_a_sentence(make_row, kind) -> None:
    rows = [make_row(metrics={"loss": 0.5}), make_row(penalty=0.2, state=TrialState.FAILED)]
    assert draw(BY_SIZE, rows, kind) == (None, "“Loss against l0” is not drawn: no trial has l0.")
    assert draw(BY_SIZE, [], kind).figure is None


def test_points_that_a_log_axis_cannot_show_are_counted(make_row, kind) -> None:
    rows = [
        make_row(penalty=p, metrics={"l0": x, "loss": 0.5}) for p, x in ((0.1, 0.0), (0.2, 4.0))
    ]
    figure, note = draw(BY_SIZE, rows, kind)
    assert [list(trace.x) for trace in data_traces(figure)] == [[4.0]]
    assert note == "1 of 2 complete trials have no place on these axes."


def test_many_numeric_values_get_an_ordered_scale_of_distinct_colours(make_row, kind) -> None:
    rows = [make_row(penalty=p / 100, metrics={"l0": 1.0, "loss": p}) for p in range(1, 21)]
    figure = draw(replace(BY_SIZE, colour="penalty"), rows, kind).figure
    assert len({trace.line.color for trace in data_traces(figure)}) == 20
    (bar,) = [trace.marker.colorbar for trace in figure.data if trace.x[0] is None]
    assert bar.ticktext == ("0.01", "0.1", "0.2")
    assert not any(trace.showlegend for trace in figure.data)


def test_labels_reach_plotly_as_text(make_row, kind) -> None:
    rows = [make_row(size="<b>4x</b>", label="<i>x", metrics={"l0": 1.0, "loss": 0.5})]
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
    assert figure.layout.yaxis.title.text == "bits (bits): real - null"
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
        assert tuple(line.x) == (4.5, 4.5, 13.5, 13.5, 45.0, 45.0)
        real = [r for r in rows if not r.is_control and line.name.endswith(str(r.params["size"]))]
        assert sorted(line.y) == sorted(row.metrics["loss"] for row in real)
    one = draw(replace(BY_SIZE, bound=replace(bound, within=())), rows, kind).figure
    assert [t.name for t in one.data if "the limit" in (t.name or "")] == ["the limit"]
