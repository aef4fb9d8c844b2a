import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.linear_model import Lasso

from tests.trials.kernels.lasso_problems import TROUBLES, difficult, objectives, problem
from trials.kernels.sparse_coding.certificate import duality_gap
from trials.kernels.sparse_coding.lasso import critical_penalties, lasso_codes


@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("n_atoms", [12, 48, 96, 400])
def test_codes_meet_the_optimality_conditions(n_atoms, nonnegative):
    signals, atoms = problem(n_atoms=n_atoms)
    penalty = 0.3
    result = lasso_codes(
        signals, atoms, l1_penalty=penalty, nonnegative=nonnegative, tolerance=1e-11
    )
    assert result.gap.max() <= 1e-11
    codes = result.codes.toarray()
    correlations = (signals - codes @ atoms) @ atoms.T
    active = codes != 0
    assert active.any()
    np.testing.assert_allclose(correlations[active], penalty * np.sign(codes[active]), atol=1e-4)
    assert (correlations if nonnegative else abs(correlations)).max() <= penalty * (1 + 1e-4)
    assert not nonnegative or codes.min() >= 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("share", [0.03, 0.3, 0.9])
def test_the_returned_gap_is_the_gap_of_the_returned_codes(share, nonnegative, dtype):
    signals, atoms = problem(dtype=dtype)
    penalty = share * float(np.median(critical_penalties(signals, atoms)))
    result = lasso_codes(signals, atoms, l1_penalty=penalty, nonnegative=nonnegative)
    again = duality_gap(signals, atoms, result.codes, l1_penalty=penalty, nonnegative=nonnegative)
    assert result.gap.max() <= 1e-5
    np.testing.assert_allclose(result.gap, again, atol=1e-12)


@pytest.mark.parametrize("nonnegative", [False, True])
def test_the_objective_agrees_with_scikit_learn_within_both_gaps(nonnegative):
    signals, atoms = problem()
    penalty = 0.25
    ours = lasso_codes(signals, atoms, l1_penalty=penalty, nonnegative=nonnegative)
    d_model = atoms.shape[1]
    peer = Lasso(
        alpha=penalty / d_model,
        fit_intercept=False,
        positive=nonnegative,
        tol=1e-8,
        max_iter=100_000,
    )
    theirs = np.stack([peer.fit(atoms.T, signal).coef_ for signal in signals])
    their_gap = duality_gap(
        signals, atoms, csr_array(theirs), l1_penalty=penalty, nonnegative=nonnegative
    )
    assert their_gap.max() < 1e-5
    difference = objectives(signals, atoms, ours.codes.toarray(), penalty) - objectives(
        signals, atoms, theirs, penalty
    )
    half_norms = 0.5 * (signals**2).sum(axis=1)
    slack = 1e-12 * half_norms
    assert (difference <= ours.gap * half_norms + slack).all()
    assert (-difference <= their_gap * half_norms + slack).all()


def by_celer(signals, atoms, penalty):
    celer = pytest.importorskip("celer", reason="celer is not installed")
    peer = celer.Lasso(alpha=penalty / atoms.shape[1], fit_intercept=False, tol=1e-9)
    return np.stack([peer.fit(atoms.T.copy(), signal).coef_ for signal in signals])


def by_spams(signals, atoms, penalty):
    spams = pytest.importorskip("spams", reason="spams-bin is not installed")
    x, dictionary = (np.asfortranarray(rows.T) for rows in (signals, atoms))
    codes = spams.lasso(x, D=dictionary, lambda1=penalty, mode=2, numThreads=1)
    return codes.toarray().T


@pytest.mark.parametrize("peer", [by_celer, by_spams])
@pytest.mark.parametrize("n_atoms", [40, 96])
def test_the_objective_agrees_with_other_solvers_within_both_gaps(peer, n_atoms):
    signals, atoms = problem(n_signals=20, n_atoms=n_atoms)
    penalty = 0.25
    ours = lasso_codes(signals, atoms, l1_penalty=penalty)
    theirs = peer(signals, atoms, penalty)
    their_gap = duality_gap(signals, atoms, csr_array(theirs), l1_penalty=penalty)
    assert their_gap.max() < 1e-5
    difference = objectives(signals, atoms, ours.codes.toarray(), penalty) - objectives(
        signals, atoms, theirs, penalty
    )
    half_norms = 0.5 * (signals**2).sum(axis=1)
    slack = 1e-12 * half_norms
    assert (difference <= ours.gap * half_norms + slack).all()
    assert (-difference <= their_gap * half_norms + slack).all()


@pytest.mark.parametrize("nonnegative", [False, True])
def test_codes_vanish_exactly_at_the_critical_penalty(nonnegative):
    signals, atoms = problem()
    critical = critical_penalties(signals, atoms, nonnegative=nonnegative)
    products = signals @ atoms.T
    expected = (products if nonnegative else abs(products)).max(axis=1)
    np.testing.assert_allclose(critical, expected, rtol=1e-12)
    at = lasso_codes(signals, atoms, l1_penalty=critical * (1 + 1e-12), nonnegative=nonnegative)
    assert at.codes.nnz == 0
    under = lasso_codes(
        signals, atoms, l1_penalty=0.99 * critical, nonnegative=nonnegative, tolerance=1e-7
    )
    assert (np.diff(under.codes.indptr) >= 1).all()


def test_the_critical_penalty_of_a_signal_opposed_to_all_atoms_is_zero_when_nonnegative():
    atoms = np.eye(3)
    assert critical_penalties(-np.ones((1, 3)), atoms, nonnegative=True) == 0
    assert lasso_codes(-np.ones((1, 3)), atoms, l1_penalty=0.1, nonnegative=True).codes.nnz == 0


@pytest.mark.parametrize("scale", [1e-18, 3.0, 1e15])
def test_scaling_signals_and_penalty_together_scales_the_codes(scale):
    signals, atoms = problem(dtype=np.float32)
    plain = lasso_codes(signals, atoms, l1_penalty=0.3, tolerance=1e-6)
    scaled = lasso_codes(
        (signals * scale).astype(np.float32), atoms, l1_penalty=0.3 * scale, tolerance=1e-6
    )
    np.testing.assert_allclose(
        scaled.codes.toarray() / scale, plain.codes.toarray(), atol=5e-3 * abs(plain.codes).max()
    )
    assert scaled.gap.max() <= 1e-6


def test_the_gap_rises_when_codes_are_perturbed():
    signals, atoms = problem()
    result = lasso_codes(signals, atoms, l1_penalty=0.3)
    perturbed = result.codes.copy()
    perturbed.data *= 1 + 0.05 * np.random.default_rng(1).standard_normal(perturbed.nnz)
    assert (duality_gap(signals, atoms, perturbed, l1_penalty=0.3) > 2 * result.gap).all()


def test_the_order_of_rows_does_not_matter():
    signals, atoms = problem(n_signals=1100)
    order = np.random.default_rng(1).permutation(len(signals))
    plain = lasso_codes(signals, atoms, l1_penalty=0.3, tolerance=1e-9)
    shuffled = lasso_codes(signals[order], atoms, l1_penalty=0.3, tolerance=1e-9)
    np.testing.assert_allclose(shuffled.codes.toarray(), plain.codes.toarray()[order], atol=1e-3)


def test_codes_are_the_same_bits_for_any_number_of_threads_and_in_every_run():
    signals, atoms = problem(n_signals=1500, dtype=np.float32)
    runs = [lasso_codes(signals, atoms, l1_penalty=0.3, n_threads=n) for n in (1, 1, 2, 3)]
    for run in runs[1:]:
        np.testing.assert_array_equal(run.codes.indptr, runs[0].codes.indptr)
        np.testing.assert_array_equal(run.codes.indices, runs[0].codes.indices)
        np.testing.assert_array_equal(run.codes.data, runs[0].codes.data)
        np.testing.assert_array_equal(run.gap, runs[0].gap)


def test_each_signal_may_have_its_own_penalty():
    signals, atoms = problem(n_signals=5)
    penalties = np.array([0.1, 0.2, 0.3, 0.5, 1.0])
    together = lasso_codes(signals, atoms, l1_penalty=penalties, tolerance=1e-9)
    for i, penalty in enumerate(penalties):
        alone = lasso_codes(signals[i : i + 1], atoms, l1_penalty=penalty, tolerance=1e-9)
        np.testing.assert_allclose(together.codes.toarray()[i], alone.codes.toarray()[0], atol=1e-3)


def test_a_warm_start_at_the_solution_needs_no_round_and_any_other_reaches_it():
    signals, atoms = problem()
    cold = lasso_codes(signals, atoms, l1_penalty=0.3, tolerance=1e-6)
    warm = lasso_codes(signals, atoms, l1_penalty=0.3, tolerance=1e-5, warm_start=cold.codes)
    assert warm.n_iterations.max() == 0
    far = csr_array(np.random.default_rng(1).standard_normal((len(signals), len(atoms))))
    from_far = lasso_codes(signals, atoms, l1_penalty=0.3, tolerance=1e-6, warm_start=far)
    assert from_far.gap.max() <= 1e-6


def test_a_zero_signal_has_a_zero_code_and_gap():
    signals, atoms = problem()
    signals[3] = 0
    warm = csr_array(np.ones((len(signals), len(atoms))))
    result = lasso_codes(signals, atoms, l1_penalty=0.3, warm_start=warm)
    assert result.codes[[3]].nnz == 0
    assert result.gap[3] == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("share", [0.05, 0.5])
@pytest.mark.parametrize("trouble", TROUBLES)
def test_difficult_dictionaries_are_certified_too(trouble, share, dtype):
    signals, atoms = (array.astype(dtype) for array in difficult(trouble))
    penalty = share * critical_penalties(signals, atoms)
    result = lasso_codes(signals, atoms, l1_penalty=penalty)
    assert np.isfinite(result.codes.data).all()
    assert result.gap.max() <= 1e-5


@pytest.mark.parametrize("trouble", TROUBLES)
def test_difficult_dictionaries_end_with_an_honest_gap_at_a_tiny_penalty(trouble):
    signals, atoms = difficult(trouble, n_signals=3)
    penalty = 1e-3 * critical_penalties(signals, atoms)
    result = lasso_codes(signals, atoms, l1_penalty=penalty)
    honest = duality_gap(signals, atoms, result.codes, l1_penalty=penalty)
    np.testing.assert_allclose(result.gap, honest, atol=1e-12)
    assert result.gap.max() < 0.02


def test_a_signal_that_equals_an_atom_is_coded_by_it():
    _, atoms = problem()
    codes = lasso_codes(atoms[:5], atoms, l1_penalty=0.6).codes.toarray()
    np.testing.assert_allclose(codes[:, :5], 0.4 * np.eye(5), atol=1e-6)
    assert not codes[:, 5:].any()


def test_very_dense_codes_are_certified():
    signals, atoms = problem(n_signals=20, n_atoms=800, d_model=400, dtype=np.float32)
    penalty = 0.02 * critical_penalties(signals, atoms)
    result = lasso_codes(signals, atoms, l1_penalty=penalty)
    assert np.diff(result.codes.indptr).min() > 250
    assert result.gap.max() <= 1e-5


def test_a_gap_out_of_reach_is_returned_and_not_raised():
    signals, atoms = problem(dtype=np.float32)
    result = lasso_codes(signals, atoms, l1_penalty=0.1, tolerance=0.0)
    assert 0 < result.gap.max() < 1e-4


def broken(array, value):
    array = array.copy()
    array[1, 2] = value
    return array


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, a: {"signals": broken(s, np.nan)}, "signals holds NaN or infinity.* row 1"),
        (lambda s, a: {"atoms": broken(a, np.inf)}, "atoms holds NaN or infinity.* row 1"),
        (lambda s, a: {"atoms": a[:, :-1]}, "60 columns|48 columns and atoms have 47"),
        (lambda s, a: {"atoms": a[:0]}, "atoms has shape .0, 48."),
        (lambda s, a: {"signals": s[:0]}, "signals has shape .0, 48."),
        (
            lambda s, a: {"atoms": a * (np.arange(len(a)) != 4)[:, None]},
            "1 of the atoms are zero.* 4",
        ),
        (lambda s, a: {"l1_penalty": 0.0}, "l1_penalty is 0.0; it must be positive"),
        (lambda s, a: {"l1_penalty": -1.0}, "l1_penalty is -1.0"),
        (lambda s, a: {"l1_penalty": float("nan")}, "l1_penalty is nan"),
        (lambda s, a: {"l1_penalty": np.ones(3)}, r"l1_penalty has shape \(3,\)"),
        (lambda s, a: {"tolerance": -1e-3}, "tolerance is -0.001"),
        (lambda s, a: {"n_threads": 0}, "n_threads is 0"),
        (lambda s, a: {"warm_start": csr_array((3, 4))}, r"warm_start has shape \(3, 4\)"),
        (
            lambda s, a: {"warm_start": csr_array(-np.ones((60, 96))), "nonnegative": True},
            "warm_start holds negative codes",
        ),
    ],
)
def test_bad_input_is_refused_with_what_is_wrong(change, message):
    signals, atoms = problem()
    arguments = {"signals": signals, "atoms": atoms, "l1_penalty": 0.3}
    with pytest.raises(ValueError, match=message):
        lasso_codes(**(arguments | change(signals, atoms)))


def test_dense_codes_go_another_way_to_the_same_certificate():
    signals, atoms = problem(n_signals=300, n_atoms=128, d_model=64, dtype=np.float32)
    penalty = 1e-2 * critical_penalties(signals, atoms)
    dense = lasso_codes(signals, atoms, l1_penalty=penalty)
    again = duality_gap(signals, atoms, dense.codes, l1_penalty=penalty)
    assert dense.n_iterations.max() > 20  # steps of ADMM; working sets take few rounds
    assert dense.gap.max() <= 1e-5
    np.testing.assert_allclose(dense.gap, again, atol=1e-12)


def test_what_the_dense_solver_leaves_short_is_finished_or_kept_as_it_is():
    signals, atoms = problem(n_signals=100, n_atoms=64, d_model=64, dtype=np.float32)
    penalty = 1e-3 * critical_penalties(signals, atoms)
    found = lasso_codes(signals, atoms, l1_penalty=penalty, tolerance=1e-7)
    again = duality_gap(signals, atoms, found.codes, l1_penalty=penalty)
    np.testing.assert_allclose(found.gap, again, atol=1e-12)
    assert found.gap.max() < 1e-4
