from __future__ import annotations

import numpy as np

from trials.kernels.statistics.significance import benjamini_hochberg, permutation_p_value


def test_p_values_of_the_null_are_uniform_and_never_zero() -> None:
    rng = np.random.default_rng(0)
    found = [permutation_p_value(rng.normal(), rng.normal(size=19)) for _ in range(2000)]
    assert min(found) >= 1 / 20
    assert abs(np.mean(np.array(found) <= 0.05) - 0.05) < 0.02


def test_the_lower_tail_is_the_other_side() -> None:
    null = np.arange(9.0)
    assert permutation_p_value(-1.0, null, greater=False) == 0.1
    assert permutation_p_value(-1.0, null) == 1.0


def test_false_discoveries_stay_at_the_level_and_true_ones_are_made() -> None:
    rng = np.random.default_rng(1)
    false_share, found = [], []
    for _ in range(400):
        p_values = rng.uniform(size=100)
        p_values[:20] *= 1e-4
        rejected = benjamini_hochberg(p_values, level=0.1).rejected
        false_share.append(rejected[20:].sum() / max(1, rejected.sum()))
        found.append(rejected[:20].mean())
    assert np.mean(false_share) < 0.1
    assert np.mean(found) > 0.95


def test_adjusted_p_values_are_monotone_and_undefined_ones_are_left_out() -> None:
    p_values = np.array([0.01, np.nan, 0.04, 0.03])
    found = benjamini_hochberg(p_values, level=0.05)
    np.testing.assert_allclose(found.adjusted, [0.03, np.nan, 0.04, 0.04])
    assert found.rejected.tolist() == [True, False, True, True]
