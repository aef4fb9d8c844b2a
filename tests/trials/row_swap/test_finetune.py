"""What fine-tuning brings back, next to the same fine-tuning without a changed row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from trials.inputs.corpora.windows import Windows
from trials.row_swap.finetune import WeightedBatches

QUICK = {"n_steps": 10, "rows_together": 4, "tokens_a_stratum": 4, "draw": "gaussian"}


def test_the_weighted_loss_of_the_batches_is_the_mean_over_the_text() -> None:
    rng = np.random.default_rng(0)
    stream = rng.integers(10, size=8 * 400 + 1)
    stream[100] = stream[2000] = 77  # in 2 of 400 windows
    windows = Windows(stream, 8)
    every = windows[np.arange(len(windows))]
    values = every.sum(axis=1) + 500 * (every[:, :-1] == 77).any(axis=1)
    value_of = {tuple(window): value for window, value in zip(every, values, strict=True)}
    batches = WeightedBatches(windows, np.array([77, 3]), batch_size=8, seed=0)
    estimates, n_rare = [], 0
    for step in range(2000):
        ids, weights = batches[step]
        assert weights.max() <= 2 + 1e-6
        n_rare += int((ids[:, :-1] == 77).any(axis=1).sum())
        found = np.array([value_of[tuple(window)] for window in ids])
        estimates.append(float((found * weights).mean()))
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - values.mean()) < 4 * error
    assert n_rare > 1900, "a quarter of all sequences hold the rare token; 1 in 200 of the text"


def test_batches_depend_on_seed_and_step_alone_and_never_need_the_tokens() -> None:
    windows = Windows(np.arange(81) % 7, 8)
    one, same, other = (
        WeightedBatches(windows, np.array([3]), batch_size=4, seed=seed) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one[5][0], same[5][0])
    assert not np.array_equal(one[5][0], other[5][0])
    absent = WeightedBatches(windows, np.array([99]), batch_size=4, seed=0)
    np.testing.assert_array_equal(absent[0][1], np.ones(4, np.float32))


@pytest.mark.parametrize("regime", ["row", "body", "all"])
def test_a_row_that_was_not_changed_has_nothing_to_recover(place: Any, regime: str) -> None:
    result = place.run(**{**QUICK, "draw": "none", "regime": regime})
    assert np.isnan(result.metrics["recovered_frac_held_out"])
    assert np.isnan(result.metrics["recovered_frac_held_out_low"])
    assert np.abs(result.tables["recovery"]["damage_held_out"]).max() < 1e-5


def test_what_fine_tuning_does_to_any_model_is_not_counted_as_recovery(place: Any) -> None:
    """Only the body learns, and slowly: the whole model improves and the row stays lost."""
    result = place.run(
        **{**QUICK, "regime": "all", "learning_rate": 1e-9, "body_learning_rate": 1e-3}
    )
    metrics, rows = result.metrics, result.tables["rows"]
    gain = -metrics["null_rise_held_out"]
    assert gain > 0.2 * np.mean(rows["overall"]), "a fifth of the damage, if it counted"
    assert abs(metrics["recovered_frac_held_out"]) < 0.2


@pytest.mark.parametrize("regime", ["row", "all"])
def test_the_table_of_recovery_goes_from_no_step_to_the_last_in_all_strata(
    place: Any, regime: str
) -> None:
    result = place.run(**{**QUICK, "regime": regime})
    table, metrics = result.tables["recovery"], result.metrics
    steps = [step for step in (0, 1, 3, 10) for _ in range(3)]
    assert table["step"] == steps
    assert table["stratum"] == ["all", "0", "1"] * 4
    assert table["n_tokens"] == [8, 4, 4] * 4
    assert table["recovered_frac"][0] == 0
    assert table["null_rise"][:3] == [0, 0, 0]
    assert table["recovered_frac"][-3] == metrics["recovered_frac_held_out"]
    assert table["low"][-3] == metrics["recovered_frac_held_out_low"]
    assert table["low"][-3] < table["recovered_frac"][-3] < table["high"][-3]
    assert table["damage_held_out"][-3] == pytest.approx(
        np.mean(result.tables["rows"]["around_last"])
    )
    assert "recovery" in result.figures


def test_a_lost_row_comes_back_by_training_it_alone_and_by_training_everything(
    place: Any,
) -> None:
    found = {}
    for regime in ("row", "all"):
        metrics = place.run(**{**QUICK, "n_steps": 60, "regime": regime}).metrics
        assert 0.3 < metrics["recovered_frac_held_out_low"] < metrics["recovered_frac_held_out"]
        assert metrics["recovered_as_input_frac_held_out"] > 0.3
        assert 1 <= metrics["steps_to_50"] <= 60
        found[regime] = metrics
    assert found["row"]["row_cosine"] > 0.1
