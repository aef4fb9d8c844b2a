"""Pairs that a matrix binds, pairs that an offset alone relates, and pairs of nothing."""

import numpy as np
import pytest

from trials.kernels.statistics.significance import permutation_p_value
from trials.kernels.structure.matrix_binding import binding_gain

D_MODEL, N_PAIRS = 64, 100


def pairs(rng, *, bound):
    """b = 0.8 a + c + noise, and with `bound` a matrix of rank 4 for 60 % of what is left."""
    a = rng.standard_normal((N_PAIRS, D_MODEL))
    noise = rng.standard_normal((N_PAIRS, D_MODEL))
    left = noise
    if bound:
        directions = np.linalg.qr(rng.standard_normal((D_MODEL, 8)))[0]
        image = a @ (directions[:, :4] @ directions[:, 4:].T)
        image *= np.sqrt((noise**2).sum() / (image**2).sum())
        left = np.sqrt(0.6) * image + np.sqrt(0.4) * noise
    basis = np.eye(D_MODEL)
    if bound:  # the relation reads the directions that vary most in the vocabulary
        basis = np.linalg.qr(np.hstack([directions[:, :4], rng.standard_normal((D_MODEL, 21))]))[0]
    return a, 0.8 * a + rng.standard_normal(D_MODEL) + left, basis[:, :25]


def found(rng, *, bound, n_permutations=39):
    a, b, basis = pairs(rng, bound=bound)
    got = binding_gain(a, b, basis, n_folds=5, n_permutations=n_permutations, rank=4, rng=rng)
    return got, permutation_p_value(got.gain, got.null)


def test_a_planted_matrix_is_found_with_its_gain_over_the_scaled_offset():
    rng = np.random.default_rng(0)
    for _ in range(5):
        got, p = found(rng, bound=True)
        assert p < 0.05
        assert got.gain > 0.1
        assert got.gain > got.null.max()
        assert got.scale == pytest.approx(0.8, abs=0.15)


def test_an_offset_alone_is_no_matrix():
    rng = np.random.default_rng(1)
    p_values = np.array([found(rng, bound=False)[1] for _ in range(40)])
    assert (p_values <= 0.05).mean() <= 0.125
    assert 0.3 < p_values.mean() < 0.7


def test_errors_and_gain_are_those_of_the_predictions():
    rng = np.random.default_rng(2)
    a, b, basis = pairs(rng, bound=True)
    got = binding_gain(a, b, basis, n_folds=5, n_permutations=0, rank=4, rng=rng)
    for name, predicted in got.predicted.items():
        np.testing.assert_allclose(got.errors[name], ((b - predicted) ** 2).sum(axis=1), rtol=1e-8)
    ratio = got.errors["matrix"].sum() / got.errors["scaled_offset"].sum()
    assert got.gain == pytest.approx(1 - ratio)
    assert got.errors["scaled_offset"].sum() < got.errors["identity"].sum()
