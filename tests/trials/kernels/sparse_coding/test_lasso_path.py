import numpy as np
import pytest

from tests.trials.kernels.lasso_problems import (
    TROUBLES,
    difficult,
    half_energies,
    objectives,
    problem,
)
from trials.kernels.sparse_coding.certificate import duality_gap
from trials.kernels.sparse_coding.lasso import critical_penalties, lasso_codes, lasso_path


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("nonnegative", [False, True])
def test_a_path_gives_the_codes_of_single_solves(nonnegative, dtype):
    signals, atoms = problem(n_signals=200, dtype=dtype)
    signals[7] = 0
    penalties = np.geomspace(2.0, 0.05, 9)
    path = lasso_path(signals, atoms, l1_penalties=penalties, nonnegative=nonnegative)
    assert len(path) == len(penalties)
    for penalty, found in zip(penalties, path, strict=True):
        alone = lasso_codes(signals, atoms, l1_penalty=penalty, nonnegative=nonnegative)
        assert found.gap.max() <= 1e-5
        assert found.codes.has_sorted_indices
        again = duality_gap(
            signals, atoms, found.codes, l1_penalty=penalty, nonnegative=nonnegative
        )
        np.testing.assert_allclose(found.gap, again, atol=1e-12)
        half_norms = half_energies(signals)
        difference = objectives(signals, atoms, found.codes.toarray(), penalty) - objectives(
            signals, atoms, alone.codes.toarray(), penalty
        )
        assert (abs(difference) <= (found.gap + alone.gap + 1e-6) * half_norms + 1e-12).all()
    assert path[-1].codes.nnz > path[0].codes.nnz


def test_each_signal_may_have_its_own_path_and_equal_penalties_give_equal_codes():
    signals, atoms = problem()
    critical = critical_penalties(signals, atoms)
    paths = critical[:, None] * np.array([1.0 + 1e-9, 0.5, 0.5, 0.2])
    start, half, same, end = lasso_path(signals, atoms, l1_penalties=paths, tolerance=1e-9)
    assert start.codes.nnz == 0
    np.testing.assert_array_equal(half.codes.toarray(), same.codes.toarray())
    alone = lasso_codes(signals, atoms, l1_penalty=0.2 * critical, tolerance=1e-9)
    np.testing.assert_allclose(end.codes.toarray(), alone.codes.toarray(), atol=1e-3)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_path_over_a_difficult_dictionary_is_certified(trouble):
    signals, atoms = (array.astype(np.float32) for array in difficult(trouble))
    paths = critical_penalties(signals, atoms)[:, None] * np.array([0.9, 0.5, 0.2, 0.05])
    for found in lasso_path(signals, atoms, l1_penalties=paths):
        assert found.gap.max() <= 1e-5


def test_a_path_does_not_depend_on_the_number_of_threads():
    signals, atoms = problem(n_signals=1500, dtype=np.float32)
    one, three = (
        lasso_path(signals, atoms, l1_penalties=np.array([1.0, 0.3]), n_threads=n) for n in (1, 3)
    )
    for a, b in zip(one, three, strict=True):
        np.testing.assert_array_equal(a.codes.data, b.codes.data)
        np.testing.assert_array_equal(a.gap, b.gap)


@pytest.mark.parametrize(
    ("penalties", "message"),
    [
        (np.array([0.1, 0.2]), "l1_penalties must fall along the path"),
        (np.array([0.1, 0.0]), "l1_penalties must be positive and finite"),
        (np.array([]), r"l1_penalties has shape \(0,\)"),
        (np.ones((3, 2)), r"l1_penalties has shape \(3, 2\); it must be \(n_penalties,\) or \(60,"),
        (np.array(0.1), r"l1_penalties has shape \(\)"),
    ],
)
def test_a_bad_path_is_refused(penalties, message):
    signals, atoms = problem()
    with pytest.raises(ValueError, match=message):
        lasso_path(signals, atoms, l1_penalties=penalties)
