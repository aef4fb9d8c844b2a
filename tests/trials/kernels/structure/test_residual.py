"""Residuals of rows whose truth is known: noise, a dense circle, a planted subspace."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from trials.inputs.controls.planted import planted_rows
from trials.kernels.sparse_coding.lasso import critical_penalties, debiased_codes, lasso_codes
from trials.kernels.sparse_coding.reconstruction import reconstruct
from trials.kernels.structure.residual import (
    leading_subspace,
    linear_predictability,
    participation_ratio,
    subspace_overlap,
)

D_MODEL = 64


def sides(rows):
    return rows[:2000], rows[2000:2500], rows[2500:]


def residuals(rows, atoms, debiased):
    penalty = 0.3 * float(np.median(critical_penalties(rows, atoms)))
    codes: csr_array = lasso_codes(rows, atoms, l1_penalty=penalty, n_threads=1).codes
    if debiased:
        codes = debiased_codes(rows, atoms, codes, n_threads=1)
    return rows - reconstruct(codes, atoms)


@pytest.fixture(scope="module")
def planted():
    rng = np.random.default_rng(0)
    return planted_rows(3000, D_MODEL, n_atoms=256, sparsity=4, snr_db=20.0, rng=rng)


@pytest.fixture(scope="module")
def with_circle(planted):
    """A dense circle of 30 % of the amplitude, in a plane of its own, added to every row."""
    rng = np.random.default_rng(1)
    angle = rng.uniform(0, 2 * np.pi, len(planted.rows))
    plane = np.linalg.qr(rng.standard_normal((D_MODEL, 2)))[0].T
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1) @ plane
    return (planted.rows + 0.3 * circle).astype(np.float32)


def test_the_shrinkage_of_the_penalty_looks_like_structure_and_debiased_residuals_do_not(planted):
    found = {}
    for debiased in (False, True):
        left = residuals(planted.rows, planted.atoms, debiased)
        found[debiased] = linear_predictability(sides(planted.rows), sides(left)).r2_held_out
    assert found[False] > 0.5
    assert found[True] < 0.05


def test_a_dense_circle_fills_two_dimensions_of_the_residual(planted, with_circle):
    rng = np.random.default_rng(2)
    left = residuals(with_circle, planted.atoms, debiased=True)
    assert participation_ratio(left, rng) < 8
    assert linear_predictability(sides(with_circle), sides(left)).r2_held_out > 0.4
    assert participation_ratio(residuals(planted.rows, planted.atoms, True), rng) > 40


def test_the_participation_ratio_is_right_with_fewer_rows_than_dimensions():
    rng = np.random.default_rng(3)
    few = rng.standard_normal((40, 200))
    sample = np.cov(few.T)
    naive = np.trace(sample) ** 2 / (sample**2).sum()
    assert naive < 40
    assert 120 < participation_ratio(few, rng) < 350
    scaled = rng.standard_normal((4000, 3)) * [1.0, 1.0, 0.0]
    assert participation_ratio(scaled, rng) == pytest.approx(2, rel=0.02)
    assert np.isnan(participation_ratio(np.ones((10, 4)), rng))


def test_a_planted_subspace_is_found_in_both_halves_and_noise_has_none():
    rng = np.random.default_rng(4)
    directions = np.linalg.qr(rng.standard_normal((D_MODEL, 5)))[0]
    noise = rng.standard_normal((2, 2000, D_MODEL))
    planted = noise + 3 * rng.standard_normal((2, 2000, 5)) @ directions.T
    overlap = [
        subspace_overlap(*(leading_subspace(rows, 5) for rows in pair)) for pair in (planted, noise)
    ]
    assert overlap[0] > 0.95
    assert overlap[1] < 3 * 5 / D_MODEL
    itself = leading_subspace(planted[0], 5)
    assert subspace_overlap(itself, itself) == pytest.approx(1)


def test_what_is_linear_is_foretold_and_what_is_independent_is_not():
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((3000, D_MODEL))
    linear = rows @ rng.standard_normal((D_MODEL, 7)) + 2.0
    noise = rng.standard_normal((3000, 7))
    assert linear_predictability(sides(rows), sides(linear)).r2_held_out > 0.999
    assert abs(linear_predictability(sides(rows), sides(noise)).r2_held_out) < 0.02
    half = linear_predictability(sides(rows), sides(linear / 8 + noise))
    assert half.r2_held_out == pytest.approx(0.5, abs=0.08)
