from sweeper.look.final_table import comparison, final_table
from sweeper.records import TrialState


def test_null_stands_under_real_with_its_value_at_equal_x(power_law_rows, kind) -> None:
    found = comparison(power_law_rows, kind)
    assert found.columns == [
        *("size", "penalty", "null", "bits", "loss", "l0"),
        *("null at equal l0", "real / null", "95 % interval"),
    ]
    assert found.n_labels == 3
    assert [row[:3] for row in found.rows[:4]] == [
        ["2x", "0.1", "none"],
        ["2x", "0.1", "gaussian"],
        ["2x", "0.2", "none"],
        ["2x", "0.2", "gaussian"],
    ]
    real, null = found.rows[:2]
    assert real[5:] == ["90", "", "", ""]
    assert null[5:8] == ["100", "0.1054", "0.7"]  # 90^-0.5
    assert found.rows[5][2:] == ["gaussian", "-10", "0.3162", "10", "–", "–", ""]


def test_the_end_of_a_run_says_what_failed_what_is_uncertified_and_what_is_best(
    power_law_rows, make_row, kind
) -> None:
    rows = [
        *power_law_rows,
        make_row("2x", 0.9, metrics={"bits": 2.0}, uncertified="gap"),
        make_row("2x", 0.8, state=TrialState.FAILED, error="no memory"),
    ]
    text = final_table(rows, kind)
    assert "25 trials of 26 complete, 1 failed" in text
    assert "* 1 trial uncertified" in text
    assert "best bits: -99 (size=10x penalty=0.1 null=none seed=0" in text
    (line,) = [line for line in text.splitlines() if " 0.9 " in line]
    assert " 2* " in line


def test_rows_beyond_the_limit_are_counted(power_law_rows, kind) -> None:
    assert "9 more rows not shown" in final_table(power_law_rows, kind, limit=3)


def test_a_trial_reused_in_the_same_sweep_counts_once(power_law_rows, kind) -> None:
    again = [
        row.model_copy(update={"run_id": row.run_id + "b", "reused_from": row.run_id})
        for row in power_law_rows
    ]
    assert final_table([*power_law_rows, *again], kind) == final_table(power_law_rows, kind)


def test_a_kind_without_a_control_lists_its_settings(power_law_rows, make_row, plain_kind) -> None:
    rows = [row for row in power_law_rows if not row.is_control]
    found = comparison(rows, plain_kind)
    assert found.columns == ["size", "penalty", "bits"]
    assert found.rows[0] == ["2x", "0.1", "-99"]
    assert "0 trials of 1 complete" in final_table([make_row(state=TrialState.WAITING)], plain_kind)


def test_no_trial_at_all_still_prints(kind) -> None:
    assert final_table([], kind) == "0 trials of 0 complete\n"
