import numpy as np
import pytest
from scipy.sparse import csr_array

from tests.trials.kernels.devices import DEVICES, run_on
from tests.trials.kernels.lasso_problems import problem
from trials.kernels.sparse_coding.lasso import debiased_codes, lasso_codes


@pytest.fixture(autouse=True, params=DEVICES)
def device(request, monkeypatch):
    """One contract for the compiled loops and for torch."""
    run_on(request.param, globals(), monkeypatch, "debiased_codes")


def test_debiased_residuals_are_orthogonal_to_the_support():
    signals, atoms = problem()
    codes = lasso_codes(signals, atoms, l1_penalty=0.4).codes
    debiased = debiased_codes(signals, atoms, codes)
    np.testing.assert_array_equal(debiased.indices, codes.indices)
    np.testing.assert_array_equal(debiased.indptr, codes.indptr)
    correlations = (signals - debiased @ atoms) @ atoms.T
    support = codes.toarray() != 0
    assert abs(correlations[support]).max() < 1e-10


def test_debiasing_a_rank_deficient_support_gives_the_fit_of_its_span():
    signals, atoms = problem(n_signals=4, n_atoms=6)
    doubled = np.concatenate([atoms, atoms, atoms[:1] + atoms[1:2]])
    codes = csr_array(np.ones((4, len(doubled))))
    debiased = debiased_codes(signals, doubled, codes)
    fit = np.linalg.lstsq(atoms.T, signals.T, rcond=None)[0].T @ atoms
    np.testing.assert_allclose(debiased @ doubled, fit, atol=1e-9)
    assert abs(debiased.toarray()).max() < 100
