"""On planted rows the codes over a learned dictionary become as short as they were planted."""

from __future__ import annotations

import numpy as np
import pytest

from trials.inputs.sources.precision import rounded, rounding_error
from trials.kernels.dictionaries import codes_within, learn_dictionary, sharpen_dictionary
from trials.kernels.sparse_coding import critical_penalties

N, D, K, S = 3000, 32, 64, 3


def planted() -> tuple[np.ndarray, np.ndarray]:
    """8-bit rows of `S` of `K` atoms each; the atoms."""
    rng = np.random.default_rng(0)
    atoms = rng.standard_normal((K, D))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    codes = np.zeros((N, K))
    for row in codes:
        row[rng.choice(K, S, replace=False)] = rng.standard_normal(S)
    return rounded((codes @ atoms).astype(np.float32), "Q8_0"), atoms.astype(np.float32)


def allowed(rows: np.ndarray) -> np.ndarray:
    mean, deviation = rounding_error(rows, "Q8_0")
    return np.asarray(mean + 3 * deviation)


def learned(rows: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(1)
    penalty = 0.2 * float(np.median(critical_penalties(rows, rows[:K])))
    found = learn_dictionary(rows, K, l1_penalty=penalty, rng=rng, max_passes=20, n_threads=1)
    return found.atoms


def mean_length(rows: np.ndarray, atoms: np.ndarray) -> float:
    found = codes_within(
        rows.astype(np.float64), atoms.astype(np.float64), max_error=allowed(rows), n_threads=1
    )
    return float(np.diff(found.codes.indptr).mean())


def test_codes_stop_at_the_first_atom_that_reaches_the_error() -> None:
    rows, atoms = planted()
    some, limit = rows[:200].astype(np.float64), allowed(rows)[:200]
    found = codes_within(some, atoms.astype(np.float64), max_error=limit, n_threads=1)
    assert found.reached.all()
    error = ((some - found.codes @ atoms) ** 2).sum(axis=1)
    assert (error <= limit * (1 + 1e-6)).all()
    assert mean_length(rows[:200], atoms) == pytest.approx(S, abs=0.1)


def test_a_signal_that_no_code_reaches_has_all_the_atoms_it_may() -> None:
    rows, atoms = planted()
    found = codes_within(rows[:20], atoms, max_error=np.full(20, -1.0), most=5, n_threads=1)
    assert not found.reached.any()
    assert set(np.diff(found.codes.indptr)) == {5}


def test_a_sharpened_dictionary_gives_codes_as_short_as_the_planted_ones() -> None:
    rows, atoms = planted()
    train, test = rows[:2500], rows[2500:]
    before = learned(train)
    after = sharpen_dictionary(train, before, max_error=allowed(train), n_threads=1)
    assert mean_length(test, before) > 3 * S
    assert mean_length(test, after.atoms) == pytest.approx(S, abs=0.1)
    assert np.abs(atoms @ after.atoms.T).max(axis=1).min() > 1 - 1e-4
    assert after.n_rounds > 1


def test_a_missing_atom_is_found_in_the_residuals() -> None:
    rows, atoms = planted()
    broken = atoms.copy()
    broken[5] = broken[6]
    after = sharpen_dictionary(rows, broken, max_error=allowed(rows), n_threads=1)
    assert after.n_renewed > 0
    assert np.abs(after.atoms @ atoms[5]).max() > 1 - 1e-4


def test_rows_without_features_leave_the_dictionary_alone() -> None:
    rows = np.random.default_rng(2).standard_normal((1500, D)).astype(np.float32)
    before = learned(rows)
    after = sharpen_dictionary(rows, before, max_error=allowed(rows), n_threads=1)
    assert after.n_rounds == 0
    np.testing.assert_array_equal(after.atoms, before)
    assert mean_length(rows[:100], after.atoms) > D / 2
