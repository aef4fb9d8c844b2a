from dataclasses import replace

import pytest

from sweeper.declare.search import Bounds, Objective, Search, default_search
from sweeper.records import TrialState
from sweeper.report.final_table import final_table, settings_table
from trials.api import Comparison


@pytest.fixture
def search(kind) -> Search:
    return default_search(kind)


def test_a_nulls_row_holds_what_it_has_at_the_reals_x(power_law_rows, kind, search) -> None:
    found = settings_table(power_law_rows, kind, search)
    assert found.columns == [
        *("size", "penalty", "null", "bits", "loss", "l0"),
        "loss at equal l0: real / null",
        "bits at equal loss: real - null (bits)",
    ]
    assert found.n_labels == 3
    assert [row[:3] for row in found.rows[:4]] == [
        ["2x", "0.1", "none"],
        ["2x", "0.1", "gaussian"],
        ["2x", "0.2", "none"],
        ["2x", "0.2", "gaussian"],
    ]
    real, null = found.rows[:2]
    assert real[3:] == ["-99", "0.07379", "90", "", ""]
    assert null[4:6] == ["0.1054", ""]  # 90^-0.5, and the same l0
    mean, low, high = null[6].replace(",", "").replace("[", "").strip("]").split()
    assert float(mean) == pytest.approx(0.7, rel=1e-3)
    assert float(low) < 0.693
    assert float(high) > 0.707
    outside = found.rows[5]
    assert outside[2:7] == ["gaussian", "-21.07", "–", "", "–"], (
        "its loss is in range, its l0 is not"
    )


def test_without_replicates_an_effect_has_no_interval(power_law_rows, kind, search) -> None:
    rows = [row for row in power_law_rows if row.params["seed"] == 0]
    assert [row[6] for row in settings_table(rows, kind, search).rows[:4]] == [
        *("", "0.693", "", "0.693")
    ]


def test_nulls_without_a_real_trial_have_their_own_means(power_law_rows, kind, search) -> None:
    rows = [row for row in power_law_rows if row.is_control]
    found = settings_table(rows, kind, search)
    assert found.rows[0] == ["2x", "0.1", "gaussian", "-100", "0.1", "100", "", ""]


def test_a_null_beside_an_uncertified_real_has_dashes_not_its_own_means(
    make_row, kind, search
) -> None:
    metrics = {"l0": 2.0, "loss": 0.5, "bits": 1.0}
    rows = [
        make_row(metrics=metrics, uncertified="gap"),
        make_row(null="gaussian", metrics=metrics),
    ]
    _, null = settings_table(rows, kind, search).rows
    assert null == ["gaussian", "–", "–", "", "–", "–"]


def test_the_end_of_a_run_says_what_failed_what_is_uncertified_and_what_is_best(
    power_law_rows, make_row, kind, search
) -> None:
    rows = [
        *power_law_rows,
        make_row("2x", 0.9, metrics={"bits": 2.0}, uncertified="gap"),
        make_row("2x", 0.8, state=TrialState.FAILED, error="no memory"),
    ]
    text = final_table(rows, kind, search)
    assert "25 trials of 26 complete, 1 failed" in text
    assert "* 1 trial uncertified" in text
    assert "best bits: -99 over 2 seeds (size=10x penalty=0.1 null=none)" in text
    assert "1 setting without all 2 seeds" not in text, "what failed here had a single seed"
    (line,) = [line for line in text.splitlines() if " 0.9 " in line]
    assert " 2* " in line


def test_rows_beyond_the_limit_are_counted(power_law_rows, kind, search) -> None:
    assert "9 more rows not shown" in final_table(power_law_rows, kind, search, limit=3)


def test_a_trial_reused_in_the_same_sweep_counts_once(power_law_rows, kind, search) -> None:
    again = [
        row.model_copy(update={"run_id": row.run_id + "b", "reused_from": row.run_id})
        for row in power_law_rows
    ]
    assert final_table([*power_law_rows, *again], kind, search) == final_table(
        power_law_rows, kind, search
    )


def test_a_kind_without_a_control_lists_its_settings(
    power_law_rows, make_row, plain_kind, search
) -> None:
    rows = [row for row in power_law_rows if not row.is_control]
    found = settings_table(rows, plain_kind, search)
    assert found.columns == ["size", "penalty", "bits"]
    assert found.rows[0] == ["2x", "0.1", "-99"]
    assert "0 trials of 1 complete" in final_table(
        [make_row(state=TrialState.WAITING)], plain_kind, search
    )


def test_no_trial_at_all_still_prints(kind, search) -> None:
    assert final_table([], kind, search) == "0 trials of 0 complete\n"


def tuned(**more: object) -> Search:
    objectives = (Objective(metric="bits", direction="minimise"),)
    return Search(**({"method": "optuna", "objectives": objectives} | more))


def test_the_best_is_within_the_constraints_and_says_so(power_law_rows, kind) -> None:
    text = final_table(power_law_rows, kind, tuned(constraints={"score": Bounds(min=0.15)}))
    assert "best bits with score >= 0.15: -99 over 2 seeds (size=10x penalty=0.1 null=none)" in text
    text = final_table(power_law_rows, kind, tuned(constraints={"loss": Bounds(min=0.1, max=0.15)}))
    assert "best bits with loss >= 0.1 and <= 0.15: -29 over 2 seeds (size=10x penalty=0.2" in text


def test_no_trial_within_the_constraints_is_said_with_the_nearest(power_law_rows, kind) -> None:
    text = final_table(power_law_rows, kind, tuned(constraints={"loss": Bounds(max=0.07)}))
    assert "no setting with loss <= 0.07; nearest: loss 0.07379, not <= 0.07 (size=10x " in text
    assert "penalty=0.1 null=none over 2 seeds)" in text
    assert "best bits" not in text


def test_a_pareto_front_is_named_trial_by_trial_up_to_a_limit(make_row, kind) -> None:
    rows = [
        make_row(penalty=(n + 1) / 20, metrics={"bits": float(n), "loss": 1.0 / (n + 1)})
        for n in range(10)
    ]
    objectives = (*tuned().objectives, Objective(metric="loss", direction="minimise"))
    text = final_table(rows, kind, tuned(objectives=objectives))
    assert "Pareto front: 10 trials" in text
    assert "bits 1, loss 0.5 (size=2x penalty=0.1 null=none seed=0, " in text
    assert "and 2 more" in text


def test_a_terminal_gets_the_first_three_comparisons(power_law_rows, kind, search) -> None:
    many = tuple(Comparison(of, at="l0") for of in ("loss", "bits", "score", "l0"))
    kind = replace(kind, control=replace(kind.control, comparisons=many))
    assert "l0 at equal l0" in settings_table(power_law_rows, kind, search).columns[-1]
    head = final_table(power_law_rows, kind, search).splitlines()[1]
    assert "score at equal l0: real / null" in head
    assert "l0 at equal l0" not in head


def test_titles_are_folded_before_numbers(power_law_rows, kind, search) -> None:
    narrow = final_table(power_law_rows, kind, search, width=90)
    (line,) = [line for line in narrow.splitlines() if " 2x " in line and " 0.1 " in line][1:]
    assert "]" in line, "estimate and interval stand on one line"
    assert max(map(len, narrow.splitlines()[:12])) <= 90


def test_a_narrow_page_has_as_many_comparisons_as_it_has_room_for(
    power_law_rows, kind, search
) -> None:
    narrow = final_table(power_law_rows, kind, search, width=60)
    assert "1 more comparison in the report" in narrow
    assert max(map(len, narrow.splitlines())) <= 60
    assert "more comparison" not in final_table(power_law_rows, kind, search, width=120)


def test_the_table_names_the_best_methods_and_the_range_over_all(make_row, kind, search) -> None:
    best = Comparison("loss", at="l0", also=(("score", "l0"),))
    kind = replace(kind, control=replace(kind.control, comparisons=(best,)))
    rows = [
        make_row(null=null, metrics={"l0": 1.0, "loss": loss, "score": score, "bits": 0.0})
        for null, loss, score in (("none", 0.8, 0.5), ("gaussian", 1.0, 2.0))
    ]
    text = final_table(rows, kind, search)
    assert "best loss at equal l0 vs. gaussian: real by score, null by loss" in text
    assert "by one method for both 0.25 to 0.8" in text
