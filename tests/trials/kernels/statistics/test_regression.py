"""Coefficients that were planted are found, and nothing is found where there is nothing."""

import numpy as np
import pytest

from trials.kernels.statistics.regression import standardised_regression

SLOPES = np.array([0.8, -0.3, 0.0])
MIXED = np.array([[1.0, 0.6, 0.0], [0.0, 0.8, 0.0], [0.0, 0.0, 1.0]])
"""Columns of independent normals, mixed to predictors of variance 1: the first two correlate."""


def planted(n_rows, rng, noise=0.5):
    x = rng.standard_normal((n_rows, 3)) @ MIXED
    return x @ SLOPES + noise * rng.standard_normal(n_rows), x


def true_coefficients(noise=0.5):
    variance = SLOPES @ (MIXED.T @ MIXED) @ SLOPES + noise**2
    return SLOPES / np.sqrt(variance), 1 - noise**2 / variance


def test_planted_coefficients_lie_in_their_intervals_at_the_level():
    rng = np.random.default_rng(0)
    truth, r2 = true_coefficients()
    fits = [standardised_regression(*planted(200, rng), n_draws=300, rng=rng) for _ in range(60)]
    for i, value in enumerate(truth):
        assert np.mean([f.low[i] <= value <= f.high[i] for f in fits]) > 0.85
        assert np.mean([f.coefficients[i] for f in fits]) == pytest.approx(value, abs=0.02)
    assert np.mean([f.r2 for f in fits]) == pytest.approx(r2, abs=0.02)
    assert all(f.low[0] > 0 > f.high[1] for f in fits)


def test_of_a_target_that_has_nothing_to_do_with_them_nothing_is_found():
    rng = np.random.default_rng(1)
    fits = []
    for _ in range(100):
        y, x = planted(100, rng)
        fits.append(standardised_regression(rng.permutation(y), x, n_draws=300, rng=rng))
    low, high = (np.array([getattr(f, end) for f in fits]) for end in ("low", "high"))
    assert np.mean((low > 0) | (high < 0)) < 0.12
    # The expectation under the null is n_predictors / (n_rows - 1).
    assert np.mean([f.r2 for f in fits]) == pytest.approx(3 / 99, abs=0.01)


def test_what_is_left_is_orthogonal_to_the_predictors():
    rng = np.random.default_rng(2)
    y, x = planted(50, rng)
    found = standardised_regression(y, x, n_draws=10, rng=rng)
    z, t = (x - x.mean(0)) / x.std(0), (y - y.mean()) / y.std()
    left = t - z @ found.coefficients
    np.testing.assert_allclose(z.T @ left, 0, atol=1e-10)
    assert found.r2 == pytest.approx(1 - left @ left / len(y))


def test_the_coefficient_of_one_predictor_is_its_correlation():
    rng = np.random.default_rng(3)
    y, x = planted(50, rng)
    found = standardised_regression(y, x[:, :1], rng=rng)
    correlation = np.corrcoef(x[:, 0], y)[0, 1]
    assert found.coefficients[0] == pytest.approx(correlation)
    assert found.r2 == pytest.approx(correlation**2)


def test_units_do_not_matter():
    y, x = planted(80, np.random.default_rng(4))
    found = standardised_regression(y, x, n_draws=50, rng=np.random.default_rng(0))
    other = standardised_regression(
        7 - 1e3 * y, x * [1e-6, -1.0, 1e6] + 5, n_draws=50, rng=np.random.default_rng(0)
    )
    signs = np.array([-1.0, 1.0, -1.0])
    np.testing.assert_allclose(other.coefficients, signs * found.coefficients, rtol=1e-6)
    np.testing.assert_allclose(other.low, np.where(signs > 0, found.low, -found.high), rtol=1e-6)
    assert other.r2 == pytest.approx(found.r2)


def test_a_predictor_that_does_not_vary_has_no_coefficient_and_leaves_the_others_alone():
    y, x = planted(80, np.random.default_rng(5))
    without = standardised_regression(y, x[:, :2], rng=np.random.default_rng(0))
    found = standardised_regression(
        y, np.column_stack([x[:, 0], np.full(80, 0.1), x[:, 1]]), rng=np.random.default_rng(0)
    )
    assert np.isnan([found.coefficients[1], found.low[1], found.high[1]]).all()
    np.testing.assert_allclose(found.coefficients[[0, 2]], without.coefficients)
    np.testing.assert_allclose(found.low[[0, 2]], without.low)


def test_a_target_that_does_not_vary_is_foretold_by_nothing():
    _, x = planted(30, np.random.default_rng(6))
    found = standardised_regression(np.full(30, 0.1), x, rng=np.random.default_rng(0))
    assert np.isnan([*found.coefficients, *found.low, *found.high, found.r2]).all()


@pytest.mark.parametrize(
    ("target", "predictors", "message"),
    [
        (np.ones(4), np.ones((4, 3)), r"\(4,\) and predictors \(4, 3\); .* n >= k \+ 2"),
        (np.full(9, np.nan), np.ones((9, 2)), "must be finite"),
        (np.ones(9), np.full((9, 2), -np.inf), "must be finite"),
    ],
)
def test_what_cannot_be_fitted_is_refused(target, predictors, message):
    with pytest.raises(ValueError, match=message):
        standardised_regression(target, predictors, rng=np.random.default_rng(0))
