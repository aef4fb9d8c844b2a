"""Matching of dictionaries against the truth and against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from trials.kernels.dictionaries.matching import match_dictionaries


def directions(n_atoms: int, d_model: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n_atoms, d_model), dtype=np.float32)


def test_a_shuffled_and_flipped_copy_is_matched_atom_by_atom() -> None:
    atoms = directions(40, 16)
    rng = np.random.default_rng(1)
    order, signs = rng.permutation(40), rng.choice([-1.0, 1.0], 40).astype(np.float32)
    found = match_dictionaries(atoms, 3 * signs[:, None] * atoms[order])
    np.testing.assert_array_equal(found.first, np.arange(40))
    np.testing.assert_array_equal(order[found.second], np.arange(40))
    np.testing.assert_allclose(found.cosine, signs[found.second], atol=1e-5)
    np.testing.assert_array_equal(found.of_first.atom, found.second)
    np.testing.assert_array_equal(found.of_second.atom, order)


@pytest.mark.parametrize("nonnegative", [False, True])
def test_no_other_pairing_has_a_larger_sum(nonnegative: bool) -> None:
    first, second = directions(4, 5, seed=2), directions(6, 5, seed=3)
    found = match_dictionaries(first, second, nonnegative=nonnegative)
    unit = [atoms / np.linalg.norm(atoms, axis=1, keepdims=True) for atoms in (first, second)]
    cosines = unit[0] @ unit[1].T
    scores = cosines if nonnegative else np.abs(cosines)
    best = max(scores[range(4), list(pairs)].sum() for pairs in itertools.permutations(range(6), 4))
    assert scores[found.first, found.second].sum() == pytest.approx(best, rel=1e-5)
    np.testing.assert_allclose(found.cosine, cosines[found.first, found.second])
    np.testing.assert_array_equal(found.of_second.atom, scores.argmax(axis=0))


def test_opposite_atoms_are_one_feature_only_where_codes_have_signs() -> None:
    atoms = np.eye(3, dtype=np.float32)
    assert (np.abs(match_dictionaries(atoms, -atoms).cosine) == 1).all()
    assert (match_dictionaries(atoms, -atoms, nonnegative=True).cosine <= 0).all()


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (np.ones((2, 3), dtype=np.float32), "first has 4 columns and second has 3"),
        (np.zeros((2, 4), dtype=np.float32), "atom 0 of second is zero"),
        (np.full((2, 4), np.nan, dtype=np.float32), "second holds NaN or infinity"),
    ],
)
def test_what_has_no_cosine_is_refused(second: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        match_dictionaries(directions(3, 4), second)
