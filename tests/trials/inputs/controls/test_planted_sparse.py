"""The positive control keeps what nulls keep, and is sparse."""

from __future__ import annotations

import numpy as np
import pytest

from trials.inputs.controls.moments import moments, tolerance
from trials.inputs.controls.planted import planted_rows
from trials.inputs.controls.planted_sparse import PlantedSparse, planted_sparse

N, D = 6000, 24
SIDES = (np.arange(0, N, 2), np.arange(1, N, 4), np.arange(3, N, 4))


def real_rows() -> np.ndarray:
    """Correlated, heavy-tailed, off centre."""
    rows = planted_rows(
        N, D, n_atoms=60, sparsity=3, snr_db=20.0, rng=np.random.default_rng(0)
    ).rows
    return (rows * np.linspace(2, 0.3, D) + 1).astype(np.float32)


def weights() -> np.ndarray:
    found = np.random.default_rng(1).pareto(2.5, N) + 0.5
    return np.asarray(found / found.mean())


def planted(n_atoms: int = 48, *, noise: float = 0.1, seed: int = 0) -> PlantedSparse:
    rng = np.random.default_rng(seed)
    return planted_sparse(real_rows(), weights(), SIDES, rng, n_atoms=n_atoms, l0=4, noise=noise)


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_it_has_mean_covariance_and_lengths_of_the_rows(noise: float) -> None:
    rows, found = real_rows(), planted(noise=noise)
    real, drawn = moments(rows, weights()), moments(found.rows, weights())
    allowed = tolerance(real, weights())
    assert np.linalg.norm(drawn.mean - real.mean) <= allowed.mean
    assert np.linalg.norm(drawn.covariance - real.covariance) <= allowed.covariance
    lengths = [np.linalg.norm(of - real.mean, axis=1) for of in (found.rows, rows)]
    np.testing.assert_allclose(*lengths, rtol=1e-3)


def test_each_row_is_its_atoms_and_the_noise() -> None:
    found, mean = planted(noise=0.1), moments(real_rows(), weights()).mean
    assert set(np.diff(found.codes.indptr)) == {4}
    centred = found.rows - mean
    noise = centred - found.codes @ found.atoms
    share = (weights() @ noise**2).sum() / (weights() @ centred**2).sum()
    assert share == pytest.approx(0.1, abs=0.02)
    exact = planted(noise=0.0)
    np.testing.assert_allclose(exact.codes @ exact.atoms + mean, exact.rows, atol=1e-4)


def test_the_mean_of_each_side_is_sparse_too() -> None:
    found, w = planted(noise=0.0), weights()
    mean = moments(real_rows(), w).mean
    spread = np.sqrt(((real_rows() - mean) ** 2).sum(axis=1).mean())
    for side in SIDES:
        off = moments(found.rows[side], w[side]).mean - mean
        assert np.linalg.norm(off) < 3e-3 * spread  # a hundredth of sampling noise


def test_fewer_atoms_than_dimensions_span_the_leading_axes_and_keep_trace_and_lengths() -> None:
    rows, found = real_rows(), planted(8, noise=0.0)
    real, drawn = moments(rows, weights()), moments(found.rows, weights())
    assert np.linalg.matrix_rank(drawn.covariance, tol=1e-4) == 8
    assert np.trace(drawn.covariance) == pytest.approx(np.trace(real.covariance), rel=0.01)
    axes = np.linalg.eigh(real.covariance)[1][:, -8:]
    assert np.trace(axes.T @ drawn.covariance @ axes) == pytest.approx(
        np.trace(drawn.covariance), rel=1e-3
    )


def test_atoms_are_used_about_equally_and_seeds_differ() -> None:
    uses = np.bincount(planted().codes.indices, minlength=48)
    assert uses.min() > 0.8 * uses.mean()
    assert uses.max() < 1.2 * uses.mean()
    np.testing.assert_array_equal(planted().rows, planted().rows)
    assert not np.array_equal(planted().rows, planted(seed=1).rows)
