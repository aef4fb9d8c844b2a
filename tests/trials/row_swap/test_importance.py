from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trials.row_swap.damage import Damage
from trials.row_swap.results import importance, predictors, token_columns
from trials.row_swap.rows import Drawn

SIDES = ("validation", "held_out")


def damage_of(overall: np.ndarray) -> Damage:
    return Damage(overall, overall, overall, overall, overall)


def tokens(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and rows of two matrices whose lengths have nothing to do with them."""
    probability = np.exp(rng.normal(-8, 2, n))
    return probability, rng.normal(size=(n, 2, 16)) * np.exp(rng.normal(0, 0.5, (n, 1, 1)))


def test_damage_that_grows_with_length_and_not_with_frequency_is_told_apart() -> None:
    rng = np.random.default_rng(0)
    probability, rows = tokens(200, rng)
    of_tokens = predictors(probability, rows, Drawn(rows))
    overall = probability * np.exp(2 * of_tokens["ln_norm"] + 0.3 * rng.normal(size=200))
    table, metrics = importance(dict.fromkeys(SIDES, damage_of(overall)), of_tokens)
    assert table["text"] == ["validation", "validation", "held_out", "held_out"]
    assert table["term"] == ["ln_p", "ln_norm"] * 2
    assert table["low"][0] < 0 < table["high"][0]
    assert table["low"][1] > 0.8
    assert metrics["importance_ln_norm_held_out"] == table["coefficient"][3] > 0.8
    assert abs(metrics["importance_ln_p_validation"]) < 0.1
    assert 0.8 < metrics["importance_r2_held_out"] < 1


def test_damage_that_has_nothing_to_do_with_frequency_has_importance_of_slope_minus_one() -> None:
    rng = np.random.default_rng(1)
    probability, rows = tokens(100, rng)
    of_tokens = predictors(probability, rows, Drawn(rows))
    _, metrics = importance({"held_out": damage_of(np.full(100, 0.1))}, of_tokens)
    assert metrics["importance_ln_p_held_out"] == pytest.approx(-1)
    assert metrics["importance_r2_held_out"] == pytest.approx(1)


def test_tokens_without_damage_or_probability_do_not_count() -> None:
    rng = np.random.default_rng(2)
    probability, rows = tokens(25, rng)
    overall = rng.uniform(0.1, 1, 25)
    overall[:2], probability[2:4] = [-0.1, 0.0], 0.0
    rows[4] = 0.0
    of_tokens = predictors(probability, rows, Drawn(rows))
    _, metrics = importance({"held_out": damage_of(overall)}, of_tokens)
    assert metrics["importance_tokens_held_out"] == 20
    assert np.isfinite(metrics["importance_r2_held_out"])
    overall[5] = -0.1
    table, metrics = importance({"held_out": damage_of(overall)}, of_tokens)
    assert metrics["importance_tokens_held_out"] == 19
    assert np.isnan([metrics[f"importance_{n}_held_out"] for n in ("ln_p", "ln_norm", "r2")]).all()
    assert np.isnan(table["coefficient"]).all()
    assert table["n_tokens"] == [19, 19]
    assert token_columns(damage_of(overall), of_tokens)["importance"][2] == np.inf


@pytest.mark.parametrize("draw", ["norm_matched", "reconstruction"])
def test_codes_are_among_the_predictors_where_the_draw_has_them(
    place: Any, tmp_path: Path, draw: str
) -> None:
    atoms = np.random.default_rng(0).normal(size=(64, 32)).astype(np.float32)
    np.save(tmp_path / "atoms.npy", atoms)
    changes: dict[str, Any] = {"draw": draw, "tokens_a_stratum": 100, "n_strata": 1}
    if draw == "reconstruction":
        changes["dictionary"] = f"file:{tmp_path / 'atoms.npy'}"
    result = place.run(**changes)
    terms = ["ln_p", "ln_norm"] + (["residual_frac", "l0"] if draw == "reconstruction" else [])
    table, rows = result.tables["importance"], result.tables["rows"]
    assert table["term"] == terms * 2
    assert np.isfinite(table["coefficient"]).all()
    assert (np.array(table["low"]) < table["coefficient"]).all()
    np.testing.assert_allclose(
        np.array(rows["importance"]) * rows["probability"], rows["overall"], rtol=1e-9
    )
    assert ("residual_frac" in rows) == ("l0" in rows) == (draw == "reconstruction")
    if draw == "reconstruction":
        arrays = result.arrays["rows"]
        matrix = place.model().input_embedding.weight.detach().numpy()
        x = arrays["old"][:, 0] - matrix.mean(axis=0)
        left = ((arrays["old"] - arrays["new"])[:, 0] ** 2).sum(axis=1) / (x**2).sum(axis=1)
        if arrays["old"].shape[1] == 1:
            np.testing.assert_allclose(rows["residual_frac"], left, rtol=1e-3)
        assert 0 < min(rows["residual_frac"]) <= max(rows["residual_frac"]) <= 1
        assert max(rows["l0"]) > 1
    assert result.metrics["importance_r2_held_out"] == table["r2"][-1]
