import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

from trials.kernels.sparse_coding.reconstruction import (
    code_sizes,
    fvu,
    fvu_by_group,
    nmse,
    reconstruct,
    token_errors,
    weighted_mean,
    without_negligible,
)

RNG = np.random.default_rng(0)
SIGNALS = RNG.standard_normal((200, 6)) + 2
WEIGHTS = RNG.random(200)
MEAN = WEIGHTS @ SIGNALS / WEIGHTS.sum()


def test_predicting_the_mean_leaves_everything_unexplained() -> None:
    errors = token_errors(SIGNALS, np.tile(MEAN, (200, 1)), MEAN)
    assert fvu(errors, WEIGHTS) == pytest.approx(1)
    assert nmse(errors, WEIGHTS) == pytest.approx(1)
    assert not errors.cosine.any()


def test_a_perfect_reconstruction_leaves_nothing_unexplained() -> None:
    errors = token_errors(SIGNALS, SIGNALS, MEAN)
    assert fvu(errors, WEIGHTS) == 0
    assert errors.cosine == pytest.approx(1)


def test_fvu_is_a_ratio_of_sums_about_the_mean() -> None:
    signals, fitted = np.array([[2.0, 0], [0, 4]]), np.array([[2.0, 1], [0, 3]])
    errors = token_errors(signals, fitted, signals.mean(axis=0))
    assert fvu(errors, np.ones(2)) == pytest.approx(0.2)
    assert nmse(errors, np.ones(2)) == pytest.approx(0.2)
    assert fvu(errors, np.array([1.0, 0])) == pytest.approx(0.2)


def test_fvu_weighs_tokens_by_their_variance_and_nmse_does_not() -> None:
    signals, fitted = np.array([[1.0], [-3.0]]), np.array([[0.0], [-3.0]])
    errors = token_errors(signals, fitted, np.zeros(1))
    assert fvu(errors, np.ones(2)) == pytest.approx(0.1)
    assert nmse(errors, np.ones(2)) == pytest.approx(0.5)


def test_fvu_keeps_its_digits_when_the_mean_is_large() -> None:
    far = (SIGNALS + 1000).astype(np.float32)
    mean = far.astype(np.float64).mean(axis=0)
    errors = token_errors(far, np.tile(mean, (200, 1)), mean)
    assert fvu(errors, np.ones(200)) == pytest.approx(1, abs=1e-9)


def test_nothing_varies_is_undefined_and_not_zero() -> None:
    same = np.ones((3, 2))
    assert np.isnan(fvu(token_errors(same, same, np.ones(2)), np.ones(3)))
    assert np.isnan(weighted_mean(np.ones(3), np.zeros(3)))


def test_groups_have_the_fvu_of_their_tokens() -> None:
    errors = token_errors(SIGNALS, 0.9 * SIGNALS, MEAN)
    groups = np.arange(200) % 3
    values = fvu_by_group(errors, WEIGHTS, groups, n_groups=4)
    mask = groups == 1
    some = type(errors)(*(part[mask] for part in errors))
    assert values[1] == pytest.approx(fvu(some, WEIGHTS[mask]))
    assert np.isnan(values[3])


@pytest.mark.parametrize("density", [0.001, 0.2])
def test_the_dense_and_the_sparse_product_agree(density: float) -> None:
    codes = csr_array(random_array((300, 400), density=density, rng=np.random.default_rng(1)))
    atoms = RNG.standard_normal((400, 5))
    np.testing.assert_allclose(reconstruct(codes, atoms), codes.toarray() @ atoms, atol=1e-12)


def test_sizes_of_codes() -> None:
    codes = csr_array(np.array([[1.0, -1, 1, 1], [0, 5, 0, 0], [0, 0, 0, 0]]))
    sizes = code_sizes(codes)
    assert sizes.l0.tolist() == [4, 1, 0]
    assert sizes.l1.tolist() == [4, 5, 0]
    assert sizes.participation.tolist() == [4, 1, 0]


def test_coefficients_far_below_the_norm_of_their_signal_are_not_active() -> None:
    codes = csr_array(np.array([[1.0, 1e-7], [1e-7, 1e-3]]))
    kept = without_negligible(codes, np.array([1.0, 1e-2]))
    assert kept.toarray().tolist() == [[1, 0], [1e-7, 1e-3]]
    assert codes.nnz == 4
