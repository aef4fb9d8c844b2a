from __future__ import annotations

import numpy as np
import pytest

from trials.inputs.controls.null_rows import (
    gaussian_deciles,
    gaussian_spectrum,
    gaussian_spectrum_norms,
    null_rows,
    row_permuted,
    shuffled_pca,
)
from trials.inputs.controls.planted import planted_rows

N, D = 20_000, 8
EQUAL = np.ones(N)


def real_rows() -> np.ndarray:
    """Heavy-tailed, correlated, off centre."""
    rng = np.random.default_rng(0)
    planted = planted_rows(N, D, n_atoms=20, sparsity=2, snr_db=30.0, rng=rng).rows
    return (planted * np.array([3, 2, 1, 1, 1, 0.5, 0.5, 0.1]) + 1).astype(np.float32)


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def covariance(rows: np.ndarray, weights: np.ndarray = EQUAL) -> np.ndarray:
    return np.cov(rows.T.astype(np.float64), aweights=weights)


def kurtosis(rows: np.ndarray) -> float:
    """Mean over principal components; 3 for a Gaussian."""
    centred = rows - rows.mean(axis=0)
    parts = centred @ np.linalg.eigh(covariance(rows))[1]
    return float((((parts / parts.std(axis=0)) ** 4).mean(axis=0)).mean())


def test_the_gaussian_has_mean_and_covariance_of_the_rows_and_no_tails() -> None:
    rows = real_rows()
    null = gaussian_spectrum(rows, EQUAL, rng())
    assert null.dtype == np.float32
    scale = np.sqrt(np.trace(covariance(rows)))
    np.testing.assert_allclose(null.mean(axis=0), rows.mean(axis=0), atol=0.03 * scale)
    error = np.linalg.norm(covariance(null) - covariance(rows))
    assert error < 0.03 * np.linalg.norm(covariance(rows))
    assert kurtosis(rows) > 4
    assert kurtosis(null) == pytest.approx(3, abs=0.15)


def test_the_gaussian_of_each_decile_keeps_what_frequency_does_and_no_more() -> None:
    rng_ = rng()
    probabilities = np.sort(rng_.pareto(1.0, N) + 1)[::-1]
    scale = np.where(np.arange(N) < N // 10, 4.0, 1.0)[:, None]
    rows = (real_rows() * scale).astype(np.float32)
    null = gaussian_deciles(rows, EQUAL, probabilities, rng_)
    for part in (slice(0, N // 10), slice(N // 10, 2 * N // 10)):
        here, drawn = rows[part], null[part]
        error = np.linalg.norm(covariance(drawn, EQUAL[part]) - covariance(here, EQUAL[part]))
        assert error < sampling_error(here, EQUAL[part])
        mean = here.mean(axis=0)
        np.testing.assert_allclose(
            np.linalg.norm(drawn - mean, axis=1), np.linalg.norm(here - mean, axis=1), rtol=1e-3
        )
    pooled = gaussian_spectrum(rows, EQUAL, rng_)
    spread_of_common = np.linalg.norm(pooled[: N // 10] - pooled.mean(axis=0), axis=1).mean()
    assert np.linalg.norm(null[: N // 10] - null.mean(axis=0), axis=1).mean() > 2 * spread_of_common


def test_a_gaussian_of_another_length_can_be_drawn() -> None:
    assert gaussian_spectrum(real_rows(), EQUAL, rng(), n_rows=33).shape == (33, D)


def test_the_gaussian_matches_the_covariance_that_the_weights_show() -> None:
    rows = real_rows()
    weights = np.where(rows[:, 0] > 1, 5.0, 1.0)
    null = gaussian_spectrum(rows, weights, rng())
    mean = np.average(rows, axis=0, weights=weights)
    np.testing.assert_allclose(null.mean(axis=0), mean, atol=0.03 * np.std(rows))
    error = np.linalg.norm(covariance(null) - covariance(rows, weights))
    assert error < 0.03 * np.linalg.norm(covariance(rows, weights))


def sampling_error(rows: np.ndarray, weights: np.ndarray = EQUAL) -> float:
    """Root mean square error of the covariance of as many weighted Gaussian draws."""
    wanted, share = covariance(rows, weights), (weights**2).sum() / weights.sum() ** 2
    return float(np.sqrt(share * (np.trace(wanted) ** 2 + np.linalg.norm(wanted) ** 2)))


def unequal(rows: np.ndarray) -> np.ndarray:
    """Weights that depend on the rows."""
    return np.asarray(np.where(rows[:, 0] > 1, 5.0, 1.0))


@pytest.mark.parametrize("are_equal", [True, False])
def test_norm_matching_keeps_lengths_and_covariance(are_equal: bool) -> None:
    rows = real_rows()
    weights = EQUAL if are_equal else unequal(rows)
    null = gaussian_spectrum_norms(rows, weights, rng())
    mean = np.average(rows, axis=0, weights=weights)
    real, drawn = (np.linalg.norm(part - mean, axis=1) for part in (rows, null))
    np.testing.assert_allclose(drawn, real, rtol=1e-3, atol=1e-4)
    wanted = covariance(rows, weights)
    error = np.linalg.norm(covariance(null, weights) - wanted)
    assert error < sampling_error(rows, weights)
    spread = np.sqrt(np.trace(wanted) * (weights**2).sum()) / weights.sum()
    assert np.linalg.norm(np.average(null, axis=0, weights=weights) - mean) < spread


def test_norm_matching_of_a_few_rows_stays_in_their_span() -> None:
    rows = real_rows()[:5]
    null = gaussian_spectrum_norms(rows, np.ones(5), rng())
    basis = np.linalg.svd(rows - rows.mean(axis=0))[2][:4]
    outside = (null - rows.mean(axis=0)) @ (np.eye(D) - basis.T @ basis)
    assert np.abs(outside).max() < 1e-4


def test_norm_matching_of_equal_rows_gives_the_rows() -> None:
    rows = np.ones((30, D), dtype=np.float32)
    np.testing.assert_allclose(gaussian_spectrum_norms(rows, np.ones(30), rng()), rows, atol=1e-6)


def test_the_gaussian_of_each_decile_keeps_its_weighted_moments() -> None:
    rows = real_rows()
    weights, probabilities = unequal(rows), np.arange(N, 0, -1.0)
    null = gaussian_deciles(rows, weights, probabilities, rng())
    for start in range(0, N, N // 10):
        part = slice(start, start + N // 10)
        w = weights[part]
        wanted = covariance(rows[part], w)
        error = np.linalg.norm(covariance(null[part], w) - wanted)
        assert error < sampling_error(rows[part], w)
        means = [np.average(of[part], axis=0, weights=w) for of in (rows, null)]
        spread = np.sqrt(np.trace(wanted) * (w**2).sum()) / w.sum()
        assert np.linalg.norm(means[1] - means[0]) < spread


def test_shuffling_principal_components_keeps_marginals_and_covariance() -> None:
    rows = real_rows()
    null = shuffled_pca(rows, rng())
    axes = np.linalg.eigh(covariance(rows))[1]
    np.testing.assert_allclose(null.mean(axis=0), rows.mean(axis=0), atol=1e-4)
    before, after = (np.sort((part - rows.mean(axis=0)) @ axes, axis=0) for part in (rows, null))
    np.testing.assert_allclose(after, before, atol=1e-3)
    error = np.linalg.norm(covariance(null) - covariance(rows))
    assert error < 0.03 * np.linalg.norm(covariance(rows))


def test_shuffling_principal_components_destroys_their_dependence() -> None:
    def dependence(rows: np.ndarray) -> float:
        squares = (rows - rows.mean(axis=0)) @ np.linalg.eigh(covariance(rows))[1]
        correlations = np.corrcoef((squares**2).T)
        return float(np.abs(correlations - np.eye(D)).max())

    rows = real_rows()
    assert dependence(rows) > 0.1
    assert dependence(shuffled_pca(rows, rng())) < 0.05


def test_permuted_rows_stay_on_their_side_of_the_split() -> None:
    rows = real_rows()
    sides = (np.arange(0, N, 2), np.arange(1, N, 2))
    null = row_permuted(rows, sides, rng())
    for side in sides:
        assert not np.array_equal(null[side], rows[side])
        np.testing.assert_array_equal(
            null[side][np.lexsort(null[side].T)], rows[side][np.lexsort(rows[side].T)]
        )


def test_without_a_null_the_rows_are_the_rows() -> None:
    rows = real_rows()
    assert null_rows("none", rows, EQUAL, EQUAL, (), rng()) is rows


@pytest.mark.parametrize(
    "kind",
    [
        "gaussian_spectrum",
        "gaussian_spectrum_norms",
        "gaussian_deciles",
        "shuffled_pca",
        "row_permuted",
    ],
)
def test_a_null_depends_on_its_generator_only_and_leaves_the_rows_alone(kind: str) -> None:
    rows = real_rows()
    sides = (np.arange(N),)
    first, again = (null_rows(kind, rows, EQUAL, EQUAL, sides, rng()) for _ in range(2))
    other = null_rows(kind, rows, EQUAL, EQUAL, sides, np.random.default_rng(6))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(rows, real_rows())
