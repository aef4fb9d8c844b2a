import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.linear_model import Lasso

from tests.trials.kernels.lasso_problems import (
    TROUBLES,
    difficult,
    half_energies,
    objectives,
    problem,
)
from trials.kernels.sparse_coding import critical_penalties, lasso_codes
from trials.kernels.sparse_coding.certificate import duality_gap
from trials.kernels.sparse_coding.device import admm
from trials.kernels.sparse_coding.device.admm import admm_codes

DEVICES = [
    "cpu",
    pytest.param(
        "cuda:0",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(
                not torch.cuda.is_available(), reason="NOT TESTED: torch finds no CUDA device"
            ),
        ],
    ),
]


def solved(signals, atoms, penalty, **options):
    return admm_codes(signals, atoms, np.broadcast_to(float(penalty), len(signals)), **options)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("n_atoms", [12, 48, 96, 400])
@pytest.mark.parametrize("penalty", [0.03, 0.3, 1.5])
def test_objectives_agree_with_the_working_set_solver_within_both_gaps(
    penalty, n_atoms, nonnegative, dtype, device
):
    signals, atoms = problem(n_atoms=n_atoms, dtype=dtype)
    ours = solved(signals, atoms, penalty, nonnegative=nonnegative, device=device)
    peer = lasso_codes(signals, atoms, l1_penalty=penalty, nonnegative=nonnegative)
    honest = duality_gap(signals, atoms, ours.codes, l1_penalty=penalty, nonnegative=nonnegative)
    np.testing.assert_allclose(ours.gap, honest, atol=1e-12)
    assert ours.gap.max() <= 1e-5
    assert ours.codes.dtype == dtype
    assert ours.codes.has_canonical_format
    own = objectives(signals, atoms, ours.codes.toarray(), penalty)
    np.testing.assert_allclose(ours.objective, own, rtol=1e-12)
    difference = own - objectives(signals, atoms, peer.codes.toarray(), penalty)
    room = half_energies(signals)
    assert (difference <= (ours.gap + 1e-12) * room).all()
    assert (-difference <= (peer.gap + 1e-12) * room).all()


@pytest.mark.parametrize("nonnegative", [False, True])
def test_objectives_agree_with_scikit_learn_within_both_gaps(nonnegative):
    signals, atoms = problem()
    penalty = 0.25
    ours = solved(signals, atoms, penalty, nonnegative=nonnegative)
    peer = Lasso(
        alpha=penalty / 48, fit_intercept=False, positive=nonnegative, tol=1e-8, max_iter=100_000
    )
    theirs = np.stack([peer.fit(atoms.T, signal).coef_ for signal in signals])
    their_gap = duality_gap(
        signals, atoms, csr_array(theirs), l1_penalty=penalty, nonnegative=nonnegative
    )
    assert their_gap.max() < 1e-5
    difference = ours.objective - objectives(signals, atoms, theirs, penalty)
    room = half_energies(signals)
    assert (difference <= (ours.gap + 1e-12) * room).all()
    assert (-difference <= (their_gap + 1e-12) * room).all()


def test_penalties_over_three_decades_share_a_block():
    signals, atoms = problem(n_signals=8)
    penalties = np.geomspace(1e-3, 1.0, 8)
    together = admm_codes(signals, atoms, penalties, tolerance=1e-11)
    assert together.gap.max() <= 1e-11
    for i, penalty in enumerate(penalties):
        alone = lasso_codes(signals[i : i + 1], atoms, l1_penalty=penalty, tolerance=1e-11)
        np.testing.assert_allclose(together.codes.toarray()[i], alone.codes.toarray()[0], atol=1e-3)


@pytest.mark.parametrize("nonnegative", [False, True])
def test_codes_vanish_exactly_at_the_critical_penalty(nonnegative):
    signals, atoms = problem()
    critical = critical_penalties(signals, atoms, nonnegative=nonnegative)
    at = admm_codes(signals, atoms, critical * (1 + 1e-12), nonnegative=nonnegative)
    assert at.codes.nnz == 0
    assert at.n_rounds.max() == 0
    under = admm_codes(signals, atoms, 0.99 * critical, nonnegative=nonnegative, tolerance=1e-7)
    assert (np.diff(under.codes.indptr) >= 1).all()
    assert under.gap.max() <= 1e-7


def test_a_warm_start_at_the_solution_needs_no_step_and_any_other_reaches_it():
    signals, atoms = problem()
    cold = solved(signals, atoms, 0.3, tolerance=1e-6)
    warm = solved(signals, atoms, 0.3, tolerance=1.1e-6, warm_start=cold.codes)
    assert warm.n_rounds.max() == 0
    np.testing.assert_array_equal(warm.codes.toarray(), cold.codes.toarray())
    near = solved(signals, atoms, 0.28, tolerance=1e-6, warm_start=cold.codes)
    assert near.n_rounds.mean() < cold.n_rounds.mean()
    far = csr_array(np.random.default_rng(1).standard_normal((len(signals), len(atoms))))
    assert solved(signals, atoms, 0.3, tolerance=1e-6, warm_start=far).gap.max() <= 1e-6


def test_a_zero_signal_has_a_zero_code_and_gap():
    signals, atoms = problem()
    signals[3] = 0
    warm = csr_array(np.ones((len(signals), len(atoms))))
    result = solved(signals, atoms, 0.3, warm_start=warm)
    assert result.codes[[3]].nnz == 0
    assert result.gap[3] == 0
    assert solved(signals[3:4], atoms, 0.3).codes.nnz == 0


@pytest.mark.parametrize("scale", [1e-18, 3.0, 1e15])
def test_scaling_signals_and_penalty_together_scales_the_codes(scale):
    signals, atoms = problem(dtype=np.float32)
    plain = solved(signals, atoms, 0.3, tolerance=1e-6)
    scaled = solved((signals * scale).astype(np.float32), atoms, 0.3 * scale, tolerance=1e-6)
    assert scaled.gap.max() <= 1e-6
    np.testing.assert_allclose(
        scaled.codes.toarray() / scale, plain.codes.toarray(), atol=5e-3 * abs(plain.codes).max()
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("share", [0.05, 0.5])
@pytest.mark.parametrize("trouble", TROUBLES)
def test_difficult_dictionaries_are_certified_too(trouble, share, dtype):
    signals, atoms = (array.astype(dtype) for array in difficult(trouble, n_signals=20))
    penalties = share * critical_penalties(signals, atoms)
    result = admm_codes(signals, atoms, penalties)
    honest = duality_gap(signals, atoms, result.codes, l1_penalty=penalties)
    np.testing.assert_allclose(result.gap, honest, atol=1e-12)
    assert result.gap.max() <= 1e-5


@pytest.mark.parametrize("trouble", TROUBLES)
def test_difficult_dictionaries_end_with_an_honest_gap_at_a_tiny_penalty(trouble):
    signals, atoms = difficult(trouble, n_signals=20)
    penalties = 1e-3 * critical_penalties(signals, atoms)
    result = admm_codes(signals, atoms, penalties)
    honest = duality_gap(signals, atoms, result.codes, l1_penalty=penalties)
    np.testing.assert_allclose(result.gap, honest, atol=1e-12)
    assert result.gap.max() <= 1e-3


def test_the_minimum_over_the_support_ends_what_steps_alone_would_not(monkeypatch):
    signals, atoms = problem(n_signals=40, n_atoms=128, d_model=64)
    penalties = 1e-3 * critical_penalties(signals, atoms)
    monkeypatch.setattr(admm, "_MAX_ROUNDS", 100)
    polished = admm_codes(signals, atoms, penalties, tolerance=1e-9)
    monkeypatch.setattr(admm, "_FIRST_POLISH", 101)
    plain = admm_codes(signals, atoms, penalties, tolerance=1e-9)
    assert (polished.gap <= 1e-9).mean() > 0.7
    assert (plain.gap <= 1e-9).mean() < 0.1


def test_a_polish_that_is_cut_into_chunks_finds_the_same(monkeypatch):
    signals, atoms = problem(n_signals=40)
    monkeypatch.setattr(admm, "_FIRST_POLISH", 3)
    whole = solved(signals, atoms, 0.2, tolerance=1e-12)
    monkeypatch.setattr(admm, "_POLISH_BYTES", {"cpu": 1})
    cut = solved(signals, atoms, 0.2, tolerance=1e-12)
    assert whole.n_rounds.mean() < 50
    np.testing.assert_array_equal(cut.n_rounds, whole.n_rounds)
    np.testing.assert_allclose(cut.codes.toarray(), whole.codes.toarray(), atol=1e-9)


def test_very_dense_codes_are_certified_in_a_few_dozen_steps():
    signals, atoms = problem(n_signals=20, n_atoms=800, d_model=400, dtype=np.float32)
    result = admm_codes(signals, atoms, 0.02 * critical_penalties(signals, atoms))
    assert np.diff(result.codes.indptr).min() > 250
    assert result.gap.max() <= 1e-5
    assert result.n_rounds.mean() < 150


def test_codes_are_the_same_bits_for_any_number_of_threads_and_torch_keeps_its_own():
    signals, atoms = problem(n_signals=1200, dtype=np.float32)
    before = torch.get_num_threads()
    runs = [solved(signals, atoms, 0.3, n_threads=n) for n in (1, 2, 3)]
    assert torch.get_num_threads() == before
    for run in runs[1:]:
        np.testing.assert_array_equal(run.codes.indptr, runs[0].codes.indptr)
        np.testing.assert_array_equal(run.codes.indices, runs[0].codes.indices)
        np.testing.assert_array_equal(run.codes.data, runs[0].codes.data)
        np.testing.assert_array_equal(run.gap, runs[0].gap)


def test_a_gap_out_of_reach_is_returned_and_not_raised():
    signals, atoms = problem(n_signals=10, dtype=np.float32)
    result = solved(signals, atoms, 0.1, tolerance=0.0)
    assert 0 < result.gap.max() < 1e-5


def test_importing_the_module_does_not_import_torch():
    code = "import sys, trials.kernels.sparse_coding.device.admm; sys.exit('torch' in sys.modules)"
    root = admm.__file__.split("/trials/")[0]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="NOT TESTED: torch finds no CUDA device")
def test_tf32_products_leave_the_certificate_as_it_is(monkeypatch):
    signals, atoms = problem(n_signals=500, n_atoms=800, d_model=400, dtype=np.float32)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", True)
    result = solved(signals, atoms, 0.1, device="cuda:0")
    honest = duality_gap(signals, atoms, result.codes, l1_penalty=0.1)
    np.testing.assert_allclose(result.gap, honest, atol=1e-12)
    assert result.gap.max() <= 1e-5
