import numpy as np
import pytest
from sklearn.linear_model import orthogonal_mp_gram

from tests.trials.kernels.devices import DEVICES, run_on
from tests.trials.kernels.lasso_problems import problem
from trials.kernels.sparse_coding.omp import omp_codes, omp_codes_with_mean


@pytest.fixture(autouse=True, params=DEVICES)
def device(request, monkeypatch):
    """One contract for the compiled loops and for torch."""
    run_on(request.param, globals(), monkeypatch, "omp_codes", "omp_codes_with_mean")


def squared_residuals(signals, atoms, codes):
    return ((signals.astype(float) - codes.toarray().astype(float) @ atoms) ** 2).sum(axis=1)


def entries(codes):
    return np.diff(codes.indptr)


@pytest.mark.parametrize("n_nonzero", [1, 5, 16])
def test_codes_agree_with_scikit_learn(n_nonzero):
    signals, atoms = problem(n_signals=40)
    ours = omp_codes(signals, atoms, n_nonzero=n_nonzero)
    theirs = orthogonal_mp_gram(atoms @ atoms.T, atoms @ signals.T, n_nonzero_coefs=n_nonzero).T
    np.testing.assert_allclose(ours.codes.toarray(), theirs, atol=1e-10)


@pytest.mark.parametrize(("dtype", "accuracy"), [(np.float32, 1e-6), (np.float64, 1e-13)])
@pytest.mark.parametrize("n_atoms", [30, 96, 200])
def test_the_residual_is_orthogonal_to_the_support(n_atoms, dtype, accuracy):
    signals, atoms = problem(n_signals=40, n_atoms=n_atoms, dtype=dtype)
    codes = omp_codes(signals, atoms, n_nonzero=12).codes.toarray()
    correlations = (signals.astype(float) - codes @ atoms.astype(float)) @ atoms.T
    assert (entries(omp_codes(signals, atoms, n_nonzero=12).codes) == 12).all()
    assert abs(correlations[codes != 0]).max() <= accuracy * np.linalg.norm(signals, axis=1).max()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_returned_error_is_that_of_the_returned_codes(dtype):
    signals, atoms = problem(n_signals=40, dtype=dtype)
    result = omp_codes(signals, atoms, n_nonzero=10)
    expected = squared_residuals(signals, atoms, result.codes)
    np.testing.assert_allclose(result.error, expected, rtol=1e-10)
    assert result.codes.dtype == dtype


def test_the_error_falls_with_every_atom():
    signals, atoms = problem(n_signals=40)
    errors = np.stack([omp_codes(signals, atoms, n_nonzero=n).error for n in range(20)])
    np.testing.assert_allclose(errors[0], (signals**2).sum(axis=1))
    assert (np.diff(errors, axis=0) < 0).all()


def test_as_many_atoms_as_dimensions_leave_nothing():
    signals, atoms = problem(n_signals=40, n_atoms=48)
    assert omp_codes(signals, atoms, n_nonzero=48).error.max() < 1e-20


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sparse_code_over_incoherent_atoms_is_found_and_ends_there(dtype):
    rng = np.random.default_rng(0)
    atoms = np.linalg.qr(rng.standard_normal((256, 256)))[0]
    atoms = np.vstack([atoms, np.eye(256)])
    codes = np.zeros((50, 512))
    for code in codes:
        code[rng.choice(512, 6, replace=False)] = rng.uniform(1, 2, 6) * rng.choice([-1, 1], 6)
    signals = (codes @ atoms).astype(dtype)
    found = omp_codes(signals, atoms.astype(dtype), n_nonzero=30).codes
    assert (entries(found) == 6).all()
    np.testing.assert_allclose(found.toarray(), codes, atol=50 * np.finfo(dtype).eps)


def test_each_signal_may_have_its_own_number_of_atoms():
    signals, atoms = problem(n_signals=40)
    counts = np.arange(len(signals)) % 7
    together = omp_codes(signals, atoms, n_nonzero=counts)
    np.testing.assert_array_equal(entries(together.codes), counts)
    for n in range(7):
        alone = omp_codes(signals, atoms, n_nonzero=n).codes.toarray()
        np.testing.assert_allclose(
            together.codes.toarray()[counts == n], alone[counts == n], atol=1e-12
        )


@pytest.mark.parametrize("scale", [1e-18, 3.0, 1e15])
def test_scaling_signals_scales_the_codes(scale):
    signals, atoms = problem(n_signals=40, dtype=np.float32)
    plain = omp_codes(signals, atoms, n_nonzero=8)
    scaled = omp_codes((signals * scale).astype(np.float32), atoms, n_nonzero=8)
    np.testing.assert_allclose(
        scaled.codes.toarray() / scale, plain.codes.toarray(), atol=1e-5 * abs(plain.codes).max()
    )
    np.testing.assert_allclose(scaled.error / scale**2, plain.error, rtol=1e-4)


def test_the_norms_of_atoms_change_neither_the_support_nor_the_fit():
    signals, atoms = problem(n_signals=40)
    norms = 10 ** np.random.default_rng(1).uniform(-3, 3, len(atoms))
    plain = omp_codes(signals, atoms, n_nonzero=8)
    scaled = omp_codes(signals, atoms * norms[:, None], n_nonzero=8)
    np.testing.assert_allclose(scaled.codes.toarray() * norms, plain.codes.toarray(), atol=1e-10)


def test_equal_correlations_go_to_the_lowest_index():
    atoms = np.vstack([np.eye(70)[::-1], np.eye(70)])
    result = omp_codes(np.ones((1, 70)), atoms, n_nonzero=3)
    np.testing.assert_array_equal(result.codes.indices, [0, 1, 2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_copies_of_atoms_are_never_used_together(dtype):
    signals, atoms = problem(n_signals=40, n_atoms=40, dtype=dtype)
    copied = omp_codes(signals, np.vstack([atoms, atoms, -atoms]), n_nonzero=48)
    plain = omp_codes(signals, atoms, n_nonzero=40)
    assert entries(copied.codes).max() <= 40
    np.testing.assert_allclose(copied.error, plain.error, rtol=1e-3)
    used = (copied.codes.toarray() != 0).reshape(len(signals), 3, 40).sum(axis=1)
    assert used.max() == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("spread", [1e-12, 1e-7, 1e-5, 1e-3])
def test_nearly_equal_atoms_give_moderate_codes(spread, dtype):
    rng = np.random.default_rng(0)
    centre = rng.standard_normal(20)
    atoms = (centre + spread * rng.standard_normal((30, 20))).astype(dtype)
    signals = rng.standard_normal((20, 20)).astype(dtype)
    result = omp_codes(signals, atoms, n_nonzero=20)
    assert np.isfinite(result.codes.data).all()
    assert (result.error <= (signals.astype(float) ** 2).sum(axis=1) * (1 + 1e-6)).all()


def test_a_dictionary_of_low_rank_stops_at_its_rank():
    rng = np.random.default_rng(0)
    atoms = rng.standard_normal((60, 5)) @ rng.standard_normal((5, 30))
    signals = rng.standard_normal((20, 30))
    result = omp_codes(signals, atoms, n_nonzero=30)
    assert entries(result.codes).max() <= 5
    best = signals - signals @ np.linalg.pinv(atoms) @ atoms
    np.testing.assert_allclose(result.error, (best**2).sum(axis=1), rtol=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_signal_equal_to_an_atom_has_one_code_and_a_zero_signal_none(dtype):
    _, atoms = problem(n_signals=40, dtype=dtype)
    result = omp_codes(np.vstack([2 * atoms[:5], 0 * atoms[:1]]), atoms, n_nonzero=10)
    np.testing.assert_array_equal(entries(result.codes), [1] * 5 + [0])
    np.testing.assert_allclose(result.codes.data, 2, rtol=1e-6)
    assert result.error[5] == 0


def test_codes_are_the_same_bits_for_any_number_of_threads():
    signals, atoms = problem(n_signals=1500, dtype=np.float32)
    runs = [omp_codes(signals, atoms, n_nonzero=6, n_threads=n) for n in (1, 1, 2, 3)]
    for run in runs[1:]:
        np.testing.assert_array_equal(run.codes.indices, runs[0].codes.indices)
        np.testing.assert_array_equal(run.codes.data, runs[0].codes.data)
        np.testing.assert_array_equal(run.error, runs[0].error)


@pytest.mark.parametrize(
    ("n_nonzero", "message"),
    [
        (49, r"n_nonzero is 49; it must lie in 0\.\.48"),
        (-1, r"n_nonzero is -1; it must lie in 0\.\.48"),
        (np.array([1, 2]), r"n_nonzero has shape \(2,\); it must be a number or \(40,\)"),
    ],
)
def test_a_bad_number_of_atoms_is_refused(n_nonzero, message):
    signals, atoms = problem(n_signals=40)
    with pytest.raises(ValueError, match=message):
        omp_codes(signals, atoms, n_nonzero=n_nonzero)


def test_bad_arrays_are_refused_as_by_the_other_solvers():
    signals, atoms = problem(n_signals=40)
    with pytest.raises(ValueError, match="signals have 47 columns and atoms have 48"):
        omp_codes(signals[:, 1:], atoms, n_nonzero=3)
    atoms[7] = 0
    with pytest.raises(ValueError, match="1 of the atoms are zero, first row 7"):
        omp_codes(signals, atoms, n_nonzero=3)


def planted_codes(n_signals=400, n_atoms=96, d_model=48):
    """Signals of 1 to 7 atoms, with noise, and their atoms."""
    _, atoms = problem(n_signals=1, n_atoms=n_atoms, d_model=d_model)
    rng = np.random.default_rng(3)
    codes = np.zeros((n_signals, n_atoms))
    for i, code in enumerate(codes):
        n = 1 + i % 7
        code[rng.choice(n_atoms, n, replace=False)] = rng.uniform(1, 2, n) * rng.choice([-1, 1], n)
    return codes @ atoms + 0.05 * rng.standard_normal((n_signals, d_model)), atoms


@pytest.mark.parametrize("mean", [0.0, 0.5, 3.7, 20.0, 48.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_mean_number_of_atoms_is_reached_to_one_atom_of_one_signal(mean, weighted):
    signals, atoms = planted_codes()
    weights = np.random.default_rng(1).uniform(0, 2, len(signals)) if weighted else None
    found = omp_codes_with_mean(signals, atoms, mean_nonzero=mean, weights=weights)
    weights = np.ones(len(signals)) if weights is None else weights
    total = weights @ entries(found.codes)
    assert total == pytest.approx(mean * weights.sum(), abs=weights.max())
    left = squared_residuals(signals, atoms, found.codes)
    np.testing.assert_allclose(found.error, left, rtol=1e-7, atol=1e-20)


def test_atoms_go_where_they_lower_the_error_most():
    signals, atoms = planted_codes()
    found = omp_codes_with_mean(signals, atoms, mean_nonzero=4.0)
    true_numbers = 1 + np.arange(len(signals)) % 7
    assert (entries(found.codes) == true_numbers).mean() > 0.8
    same = omp_codes(signals, atoms, n_nonzero=4)
    assert found.error.sum() < 0.2 * same.error.sum()
    # The least helpful atom in use helps more than any next one would.
    counts = entries(found.codes)
    after, before = (
        omp_codes(signals, atoms, n_nonzero=np.clip(counts + step, 0, 48)).error for step in (1, -1)
    )
    assert np.median(before - found.error) > 10 * np.median(found.error - after)


def test_a_signal_may_take_many_times_the_mean():
    signals, atoms = planted_codes()
    signals[0] = 1e3 * np.random.default_rng(5).standard_normal(48)
    found = omp_codes_with_mean(signals, atoms, mean_nonzero=1.0)
    assert entries(found.codes)[0] > 40
    assert found.codes.nnz == pytest.approx(400, abs=1)


def test_weights_count_like_copies_in_the_mean():
    signals, atoms = planted_codes(60)
    copies = np.random.default_rng(1).integers(0, 4, len(signals))
    weighted = omp_codes_with_mean(signals, atoms, mean_nonzero=3.0, weights=copies.astype(float))
    repeated = omp_codes_with_mean(np.repeat(signals, copies, axis=0), atoms, mean_nonzero=3.0)
    counts = entries(repeated.codes)
    assert abs(counts - np.repeat(entries(weighted.codes), copies)).sum() <= 3


def test_signals_that_are_done_leave_the_mean_short():
    _, atoms = problem(n_signals=1)
    found = omp_codes_with_mean(np.vstack([2 * atoms[:5], 0 * atoms[:1]]), atoms, mean_nonzero=10.0)
    np.testing.assert_array_equal(entries(found.codes), [1] * 5 + [0])


def test_the_mean_gives_the_same_bits_for_any_number_of_threads():
    signals, atoms = planted_codes(1500)
    signals = signals.astype(np.float32)
    one, two = (
        omp_codes_with_mean(signals, atoms, mean_nonzero=3.5, n_threads=n).codes for n in (1, 2)
    )
    np.testing.assert_array_equal(one.indices, two.indices)
    np.testing.assert_array_equal(one.data, two.data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean_nonzero": 48.5}, r"mean_nonzero is 48.5; it must lie in 0\.\.48"),
        ({"mean_nonzero": float("nan")}, "mean_nonzero is nan"),
        ({"weights": np.ones(3)}, r"weights must be \(40,\)"),
        ({"weights": np.zeros(40)}, "with a positive sum"),
    ],
)
def test_a_bad_mean_or_weight_is_refused(change, message):
    signals, atoms = problem(n_signals=40)
    with pytest.raises(ValueError, match=message):
        omp_codes_with_mean(signals, atoms, **{"mean_nonzero": 3.0} | change)
