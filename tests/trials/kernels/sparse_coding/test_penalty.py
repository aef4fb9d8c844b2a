"""The penalty that gives exact codes a wanted mean number of atoms."""

import numpy as np
import pytest

from trials.inputs.controls.planted import planted_rows
from trials.kernels.sparse_coding.lasso import critical_penalties, lasso_codes
from trials.kernels.sparse_coding.penalty import penalty_for_l0


def problem() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    planted = planted_rows(400, 24, n_atoms=48, sparsity=4, snr_db=15.0, rng=rng)
    return planted.rows, planted.atoms


@pytest.mark.parametrize("l0", [0.5, 3.0, 8.0, 15.0])
@pytest.mark.parametrize("nonnegative", [False, True])
def test_codes_at_the_penalty_have_the_wanted_number_of_atoms(l0: float, nonnegative: bool) -> None:
    rows, atoms = problem()
    found = penalty_for_l0(rows, atoms, l0, nonnegative=nonnegative, relative_tolerance=0.02)
    codes = lasso_codes(rows, atoms, l1_penalty=found.l1_penalty, nonnegative=nonnegative).codes
    assert codes.nnz / len(rows) == found.l0
    if not nonnegative or l0 < 10:  # more is out of reach of nonnegative codes
        assert found.l0 == pytest.approx(l0, rel=0.02)


def test_weights_count_as_copies_of_the_rows_do() -> None:
    rows, atoms = problem()
    copies = np.random.default_rng(1).integers(0, 4, len(rows))
    weighted = penalty_for_l0(rows, atoms, 5.0, weights=copies.astype(float))
    repeated = penalty_for_l0(np.repeat(rows, copies, axis=0), atoms, 5.0)
    assert weighted.l1_penalty == pytest.approx(repeated.l1_penalty, rel=0.02)


def test_a_good_start_is_taken_as_it_is() -> None:
    rows, atoms = problem()
    first = penalty_for_l0(rows, atoms, 5.0)
    assert penalty_for_l0(rows, atoms, 5.0, start=first.l1_penalty) == first


def test_no_atoms_are_wanted_at_the_largest_critical_penalty() -> None:
    rows, atoms = problem()
    found = penalty_for_l0(rows, atoms, 0.0)
    assert found == (critical_penalties(rows, atoms).max(), 0.0)
    assert lasso_codes(rows, atoms, l1_penalty=found.l1_penalty).codes.nnz == 0


def test_more_atoms_than_codes_can_have_give_the_nearest() -> None:
    rows, atoms = problem()
    found = penalty_for_l0(rows[:50], atoms, 1000.0)
    assert found.l0 == pytest.approx(24, rel=0.05)


@pytest.mark.parametrize("l0", [-1.0, float("nan"), float("inf")])
def test_a_wanted_number_that_is_none_is_refused(l0: float) -> None:
    with pytest.raises(ValueError, match="must be finite and not negative"):
        penalty_for_l0(*problem(), l0)


def test_weights_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"weights must be \(400,\)"):
        penalty_for_l0(*problem(), 2.0, weights=np.ones(3))
