from __future__ import annotations

import numpy as np
import pytest

from trials.api import TrialError
from trials.inputs.preprocessing import preprocess

RNG = np.random.default_rng(0)
ROWS = RNG.standard_normal((50, 4)).astype(np.float32) + 3
WEIGHTS = RNG.random(50)
TRAIN = np.arange(30)


def test_only_training_rows_decide_on_centre_and_scale() -> None:
    other = ROWS.copy()
    other[30:] *= 100
    for seen in (
        preprocess(rows, TRAIN, WEIGHTS, centre="mean", scale="mean_norm") for rows in (ROWS, other)
    ):
        mean = np.average(ROWS[:30], axis=0, weights=WEIGHTS[:30])
        np.testing.assert_allclose(seen.offset, mean, rtol=1e-5)
        norms = np.linalg.norm(seen.rows[:30], axis=1)
        assert np.average(norms, weights=WEIGHTS[:30]) == pytest.approx(1, rel=1e-5)


def test_the_raw_rows_come_back_from_offset_and_divisor() -> None:
    for scale in ("none", "mean_norm", "unit_rows"):
        seen = preprocess(ROWS, TRAIN, WEIGHTS, centre="mean", scale=scale)
        back = seen.rows * seen.divisor[:, None] + seen.offset
        np.testing.assert_allclose(back, ROWS, rtol=1e-5)


def test_unit_rows_have_norm_one_and_a_zero_row_stays_zero() -> None:
    rows = ROWS.copy()
    rows[7] = 0
    seen = preprocess(rows, TRAIN, WEIGHTS, centre="none", scale="unit_rows")
    norms = np.linalg.norm(seen.rows, axis=1)
    assert norms[7] == 0
    np.testing.assert_allclose(np.delete(norms, 7), 1, rtol=1e-6)


def test_none_and_none_changes_nothing() -> None:
    seen = preprocess(ROWS, TRAIN, WEIGHTS, centre="none", scale="none")
    np.testing.assert_array_equal(seen.rows, ROWS)


def test_equal_training_rows_are_refused() -> None:
    rows = np.repeat(ROWS[:1], 50, axis=0)
    with pytest.raises(TrialError, match="all equal"):
        preprocess(rows, TRAIN, WEIGHTS, centre="mean", scale="mean_norm")
