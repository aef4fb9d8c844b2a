import numpy as np
import pytest
from scipy.optimize import linprog, nnls

from trials.kernels.sparse_coding.exact import exact_codes
from trials.kernels.sparse_coding.lasso import lasso_codes


def dictionary(n_atoms=120, d_model=32, seed=0):
    atoms = np.random.default_rng(seed).standard_normal((n_atoms, d_model))
    return atoms / np.linalg.norm(atoms, axis=1, keepdims=True)


def gaussian(n_signals, d_model=32, seed=1):
    return np.random.default_rng(seed).standard_normal((n_signals, d_model))


def sparse(n_signals, n_atoms, sparsity, *, nonnegative=False, seed=2):
    rng = np.random.default_rng(seed)
    codes = np.zeros((n_signals, n_atoms))
    for code in codes:
        picks = rng.choice(n_atoms, sparsity, replace=False)
        code[picks] = rng.uniform(0.5, 2, sparsity)
        if not nonnegative:
            code[picks] *= rng.choice([-1, 1], sparsity)
    return codes


def entries(result):
    return np.diff(result.codes.indptr)


def least_l1(signal, atoms, nonnegative):
    """The optimum by HiGHS, None where there is none."""
    columns = atoms.T if nonnegative else np.hstack([atoms.T, -atoms.T])
    found = linprog(np.ones(columns.shape[1]), A_eq=columns, b_eq=signal, method="highs")
    return found.fun if found.status == 0 else None


@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize(("d_model", "n_atoms"), [(16, 40), (24, 100), (32, 70), (32, 120)])
def test_the_norm_agrees_with_highs(d_model, n_atoms, nonnegative):
    signals, atoms = gaussian(15, d_model), dictionary(n_atoms, d_model)
    result = exact_codes(signals, atoms, nonnegative=nonnegative)
    optima = [least_l1(signal, atoms, nonnegative) for signal in signals]
    np.testing.assert_array_equal(result.feasible, [optimum is not None for optimum in optima])
    assert result.feasible.any()
    for i in np.flatnonzero(result.feasible):
        norm = abs(result.codes[[i]]).sum()
        assert norm == pytest.approx(optima[i], rel=1e-6)
        assert optima[i] >= norm * (1 - result.gap[i]) * (1 - 1e-9)
        assert result.gap[i] <= 1e-6
        assert result.residual[i] <= 1e-9
    assert not nonnegative or result.codes.data.min() > 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("sparsity", [1, 8, 24])
def test_sparse_codes_below_the_threshold_are_recovered(sparsity, nonnegative, dtype):
    # Donoho and Tanner: with 128 dimensions and 3 times as many atoms, up to about 35 atoms.
    atoms = dictionary(384, 128).astype(dtype)
    codes = sparse(15, 384, sparsity, nonnegative=nonnegative)
    result = exact_codes((codes @ atoms).astype(dtype), atoms, nonnegative=nonnegative)
    np.testing.assert_array_equal(entries(result), sparsity)
    np.testing.assert_allclose(result.codes.toarray(), codes, atol=1e3 * np.finfo(dtype).eps)
    assert result.feasible.all()
    assert result.gap.max() <= 1e-6


@pytest.mark.parametrize("nonnegative", [False, True])
def test_gaussian_signals_need_as_many_atoms_as_dimensions(nonnegative):
    result = exact_codes(gaussian(80), dictionary(), nonnegative=nonnegative)
    np.testing.assert_array_equal(entries(result), 32)
    assert abs(result.codes.data).min() > 1e-8


def test_codes_are_the_limit_of_the_lasso():
    signals, atoms = gaussian(10), dictionary()
    exact = exact_codes(signals, atoms)
    norms = np.linalg.norm(exact.codes.toarray(), axis=1)
    distances = [
        np.linalg.norm(
            exact.codes.toarray()
            - lasso_codes(signals, atoms, l1_penalty=penalty, tolerance=1e-12).codes.toarray(),
            axis=1,
        )
        / norms
        for penalty in (1e-2, 1e-3)
    ]
    assert distances[1].max() < 1e-2
    # Below the last change of support, the codes are linear in the penalty.
    np.testing.assert_allclose(distances[1], 0.1 * distances[0], rtol=0.5)


@pytest.mark.parametrize("scale", [1e-100, 7.0, 1e100])
def test_scaling_signals_scales_the_codes(scale):
    signals, atoms = gaussian(10), dictionary()
    plain = exact_codes(signals, atoms, tolerance=1e-10)
    scaled = exact_codes(signals * scale, atoms, tolerance=1e-10)
    np.testing.assert_allclose(scaled.codes.toarray() / scale, plain.codes.toarray(), atol=1e-7)
    assert scaled.gap.max() <= 1e-10


def test_scaling_the_dictionary_divides_the_codes():
    signals, atoms = gaussian(10), dictionary()
    plain = exact_codes(signals, atoms, tolerance=1e-10)
    scaled = exact_codes(signals, atoms * 1e-30, tolerance=1e-10)
    np.testing.assert_allclose(scaled.codes.toarray() * 1e-30, plain.codes.toarray(), atol=1e-7)


def test_any_other_exact_code_has_a_larger_norm():
    signals, atoms = gaussian(10), dictionary()
    result = exact_codes(signals, atoms, tolerance=1e-9)
    codes = result.codes.toarray()
    kernel = np.linalg.svd(atoms.T)[2][32:]
    for direction in np.random.default_rng(0).standard_normal((20, len(kernel))) @ kernel:
        other = codes + 0.1 * direction
        np.testing.assert_allclose(other @ atoms, signals, atol=1e-12)
        assert (abs(other).sum(axis=1) > abs(codes).sum(axis=1)).all()


@pytest.mark.parametrize("sparsity", [1, 5])
def test_copies_of_atoms_are_never_used_together(sparsity):
    atoms = dictionary()
    copied = np.vstack([atoms, atoms[:60], -atoms[60:]])
    origin = np.concatenate([np.arange(120), np.arange(120)])
    signals = np.vstack([sparse(10, 120, sparsity) @ atoms, gaussian(5)])
    result = exact_codes(signals, copied)
    plain = exact_codes(signals, atoms)
    np.testing.assert_array_equal(entries(result), [sparsity] * 10 + [32] * 5)
    np.testing.assert_allclose(
        abs(result.codes).sum(axis=1), abs(plain.codes).sum(axis=1), rtol=1e-6
    )
    for i in range(len(signals)):
        used = origin[result.codes[[i]].indices]
        assert len(set(used)) == len(used)


def test_a_degenerate_integer_problem_agrees_with_highs():
    rng = np.random.default_rng(0)
    atoms = rng.integers(-1, 2, (80, 12)).astype(float)
    atoms = atoms[atoms.any(axis=1)]
    signals = rng.integers(-2, 3, (30, 12)).astype(float)
    result = exact_codes(signals, atoms)
    optima = [least_l1(signal, atoms, nonnegative=False) for signal in signals]
    np.testing.assert_allclose(abs(result.codes).sum(axis=1), optima, rtol=1e-6)
    assert result.gap.max() <= 1e-6
    assert result.feasible.all()


def test_signals_outside_of_the_span_get_the_code_of_their_projection():
    rng = np.random.default_rng(0)
    atoms = rng.standard_normal((60, 8)) @ rng.standard_normal((8, 32))
    signals = gaussian(6)
    signals[5] -= signals[5] @ np.linalg.pinv(atoms) @ atoms
    projections = signals @ np.linalg.pinv(atoms) @ atoms
    result = exact_codes(signals, atoms)
    assert not result.feasible.any()
    misses = np.linalg.norm(signals - projections, axis=1) / np.linalg.norm(signals, axis=1)
    np.testing.assert_allclose(result.residual, misses)
    np.testing.assert_array_equal(entries(result), [8] * 5 + [0])
    inside = exact_codes(projections[:5], atoms)
    assert inside.feasible.all()
    np.testing.assert_allclose(result.codes.toarray()[:5], inside.codes.toarray(), atol=1e-9)


def test_fewer_atoms_than_dimensions_are_infeasible_but_for_their_own_span():
    atoms = dictionary(10)
    codes = sparse(3, 10, 4)
    result = exact_codes(np.vstack([codes @ atoms, gaussian(3)]), atoms)
    np.testing.assert_array_equal(result.feasible, [True] * 3 + [False] * 3)
    np.testing.assert_allclose(result.codes.toarray()[:3], codes, atol=1e-9)


def test_signals_outside_of_the_cone_get_nonnegative_least_squares():
    atoms = abs(dictionary())
    signals = gaussian(6)
    signals[5] = -abs(signals[5])
    result = exact_codes(signals, atoms, nonnegative=True)
    assert not result.feasible.any()
    assert np.isinf(result.gap).all()
    assert result.codes.nnz == 0 or result.codes.data.min() > 0
    misses = [nnls(atoms.T, signal)[1] / np.linalg.norm(signal) for signal in signals]
    np.testing.assert_allclose(result.residual, misses, rtol=1e-4)
    assert entries(result)[5] == 0


def test_zero_signals_have_empty_codes():
    result = exact_codes(np.vstack([np.zeros((2, 32)), gaussian(1)]), dictionary())
    np.testing.assert_array_equal(entries(result), [0, 0, 32])
    np.testing.assert_array_equal(result.gap[:2], 0)
    np.testing.assert_array_equal(result.residual[:2], 0)
    assert result.feasible.all()


def test_a_square_dictionary_has_one_exact_code():
    signals, atoms = gaussian(5), dictionary(32)
    result = exact_codes(signals, atoms)
    np.testing.assert_allclose(result.codes.toarray(), signals @ np.linalg.inv(atoms), atol=1e-9)
    assert result.gap.max() <= 1e-9


def test_codes_are_the_same_bits_for_any_number_of_threads():
    signals, atoms = gaussian(200), dictionary()
    runs = [exact_codes(signals, atoms, n_threads=n) for n in (1, 1, 2, 3)]
    for run in runs[1:]:
        np.testing.assert_array_equal(run.codes.indices, runs[0].codes.indices)
        np.testing.assert_array_equal(run.codes.data, runs[0].codes.data)
        np.testing.assert_array_equal(run.gap, runs[0].gap)


def test_bad_input_is_refused_as_by_the_other_solvers():
    signals, atoms = gaussian(3), dictionary()
    with pytest.raises(ValueError, match=r"tolerance is -1\.0; it must be finite and not negative"):
        exact_codes(signals, atoms, tolerance=-1.0)
    with pytest.raises(ValueError, match="signals have 31 columns and atoms have 32"):
        exact_codes(signals[:, 1:], atoms)
    signals[1, 2] = np.nan
    with pytest.raises(ValueError, match="signals holds NaN or infinity, first in row 1"):
        exact_codes(signals, atoms)
