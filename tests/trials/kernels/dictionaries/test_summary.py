import tracemalloc

import numpy as np
import pytest
from scipy.sparse import csr_array

from trials.kernels.dictionaries.summary import (
    atom_use,
    coherences,
    largest_cosines,
    mean_max_cosine,
)

RNG = np.random.default_rng(0)


def test_use_counts_tokens_and_their_weight() -> None:
    codes = csr_array(np.array([[1.0, 0, -2], [3, 0, 0]]))
    use = atom_use(codes, np.array([1.0, 3.0]))
    assert use.n_tokens.tolist() == [2, 0, 1]
    assert use.weight.tolist() == [1, 0, 0.25]


def test_largest_cosines_ignore_sign_and_length() -> None:
    atoms = RNG.standard_normal((5, 8))
    assert largest_cosines(atoms, -3 * atoms[::-1]) == pytest.approx(1)
    assert not largest_cosines(np.zeros((1, 8)), atoms).any()


def test_coherence_leaves_the_atom_itself_out() -> None:
    assert coherences(np.eye(4)).tolist() == [0, 0, 0, 0]
    assert coherences(np.ones((1, 4))).tolist() == [0]
    twins = np.array([[1.0, 0], [0, 1], [0, -2]])
    assert coherences(twins).tolist() == [0, 1, 1]


def test_coherence_in_blocks_equals_coherence_at_once() -> None:
    atoms = RNG.standard_normal((3000, 4)).astype(np.float32)
    unit = atoms / np.linalg.norm(atoms, axis=1, keepdims=True)
    cosines = np.abs(unit @ unit.T)
    np.fill_diagonal(cosines, 0)
    np.testing.assert_allclose(coherences(atoms), cosines.max(axis=1), rtol=1e-5)


def test_agreement_is_one_for_the_truth_in_any_order_and_counts_missing_atoms() -> None:
    truth = np.eye(4)
    assert mean_max_cosine(-truth[::-1], truth) == 1
    assert mean_max_cosine(truth[:3], truth) == pytest.approx(0.75)


def test_largest_cosines_hold_the_unit_rows_of_a_block_only() -> None:
    vectors = RNG.standard_normal((4096, 32)).astype(np.float32)
    others = RNG.standard_normal((30_000, 32)).astype(np.float32)
    largest_cosines(vectors[:9], others[:9])
    tracemalloc.start()
    found = largest_cosines(vectors, others)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    a_block_of_cosines = 4 * 2**23
    assert peak < a_block_of_cosines + 0.5 * others.nbytes
    unit = others / np.linalg.norm(others, axis=1, keepdims=True)
    some = vectors[:50] / np.linalg.norm(vectors[:50], axis=1, keepdims=True)
    np.testing.assert_allclose(found[:50], np.abs(some @ unit.T).max(axis=1), rtol=1e-5)
