import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from trials.kernels.sparse_coding.description_length import (
    coefficient_step,
    gaussian_rate_bits,
    quantise,
)
from trials.kernels.sparse_coding.reconstruction import fvu, reconstruct, token_errors

RNG = np.random.default_rng(0)
N, K, D = 500, 32, 16
ATOMS = RNG.standard_normal((K, D)) / math.sqrt(D)
DENSE = RNG.standard_normal((N, K)) * (RNG.random((N, K)) < 0.1)
CODES = csr_array(DENSE)
SIGNALS = DENSE @ ATOMS + 0.2 * RNG.standard_normal((N, D))
MEAN = SIGNALS.mean(axis=0)
EQUAL = np.ones(N)
PROBLEM = (SIGNALS, CODES, ATOMS, MEAN, EQUAL)


def test_isotropic_rate_is_half_a_log_of_the_error_per_dimension() -> None:
    assert gaussian_rate_bits(np.ones(64), 0.25) == pytest.approx(64)


def test_directions_weaker_than_the_water_level_get_no_bits() -> None:
    assert gaussian_rate_bits(np.array([1.0, 0.01]), 0.02 / 1.01) == pytest.approx(
        0.5 * math.log2(1 / 0.01)
    )


def test_rate_ends() -> None:
    assert gaussian_rate_bits(np.ones(3), 1.0) == 0
    assert gaussian_rate_bits(np.zeros(3), 0.5) == 0
    assert gaussian_rate_bits(np.ones(3), 0.0) == math.inf


@given(
    st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=30),
    st.floats(0.01, 0.99),
)
def test_the_water_level_fills_to_the_wanted_error(spectrum: list[float], share: float) -> None:
    eigenvalues = np.array(spectrum)
    rate = gaussian_rate_bits(eigenvalues, share)
    low, high = 0.0, eigenvalues.max()
    for _ in range(200):
        level = (low + high) / 2
        filled = np.minimum(eigenvalues, level).sum()
        low, high = (level, high) if filled < share * eigenvalues.sum() else (low, level)
    expected = 0.5 * np.log2(np.maximum(eigenvalues / level, 1)).sum()
    assert rate == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_the_step_is_as_coarse_as_one_percent_of_the_error_allows() -> None:
    step = coefficient_step(*PROBLEM)
    exact = fvu(token_errors(SIGNALS, reconstruct(CODES, ATOMS), MEAN), EQUAL)
    assert quantise(*PROBLEM, step=step).fvu <= 1.01 * exact
    assert quantise(*PROBLEM, step=1.3 * step).fvu > 1.01 * exact


def test_token_bits_are_support_plus_coefficients() -> None:
    codes = csr_array(np.array([[1.0, 0, 1, 0], [0, 2, 0, 0], [0, 0, 0, 0]]))
    sent = quantise(np.zeros((3, D)), codes, ATOMS[:4], np.ones(D), np.ones(3), step=1.0)
    entropy = -(2 / 3 * math.log2(2 / 3) + 1 / 3 * math.log2(1 / 3))
    assert sent.coefficient_bits == pytest.approx(entropy)
    how_many = math.log2(3)
    assert sent.token_bits == pytest.approx(
        [how_many + math.log2(6) + 2 * entropy, how_many + math.log2(4) + entropy, how_many]
    )


def test_halving_the_step_costs_a_bit_a_coefficient() -> None:
    step = coefficient_step(*PROBLEM)
    coarse, fine = (quantise(*PROBLEM, step=s).coefficient_bits for s in (step, step / 2))
    assert fine - coarse == pytest.approx(1, abs=0.15)


def test_no_code_of_gaussian_signals_beats_the_rate_distortion_bound() -> None:
    """Best-k coefficients in an orthonormal basis: a good sparse code of Gaussian signals."""
    rng = np.random.default_rng(3)
    spectrum = 0.8 ** np.arange(D)
    signals = rng.standard_normal((4000, D)) * np.sqrt(spectrum)
    for kept in (1, 3, 8):
        weak = np.abs(signals).argsort(axis=1)[:, :-kept]
        dense = signals.copy()
        np.put_along_axis(dense, weak, 0, axis=1)
        problem = (signals, csr_array(dense), np.eye(D), np.zeros(D), np.ones(4000))
        sent = quantise(*problem, step=coefficient_step(*problem))
        assert sent.token_bits.mean() > gaussian_rate_bits(spectrum, sent.fvu)


def test_sparse_signals_beat_the_bound_of_gaussian_signals() -> None:
    rng = np.random.default_rng(3)
    n_atoms, d_model = 64, 32
    dense = np.zeros((4000, n_atoms))
    dense[np.arange(4000), rng.integers(0, n_atoms, 4000)] = rng.standard_normal(4000)
    atoms = rng.standard_normal((n_atoms, d_model))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    signals = dense @ atoms + 0.01 * rng.standard_normal((4000, d_model))
    problem = (signals, csr_array(dense), atoms, np.zeros(d_model), np.ones(4000))
    sent = quantise(*problem, step=coefficient_step(*problem))
    eigenvalues = np.linalg.eigvalsh(np.cov(signals.T, bias=True))
    assert sent.token_bits.mean() < 0.5 * gaussian_rate_bits(eigenvalues, sent.fvu)


def test_empty_codes_cost_nothing() -> None:
    empty = csr_array((N, K))
    step = coefficient_step(SIGNALS, empty, ATOMS, MEAN, EQUAL)
    assert not quantise(SIGNALS, empty, ATOMS, MEAN, EQUAL, step=step).token_bits.any()
