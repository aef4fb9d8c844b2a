from __future__ import annotations

import numpy as np
import pytest

from trials.kernels.structure import neighbours as module
from trials.kernels.structure.neighbours import label_purity, nearest_neighbours


def test_neighbours_are_those_of_a_full_sort_in_any_block_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    expected = np.argsort(-cosines, axis=1)[:, :5]
    for entries in (1 << 25, 7 * 60):
        monkeypatch.setattr(module, "_BLOCK_ENTRIES", entries)
        np.testing.assert_array_equal(nearest_neighbours(rows, 5), expected)
    np.testing.assert_array_equal(
        nearest_neighbours(rows, 5, queries=np.array([3, 40])), expected[[3, 40]]
    )


def test_the_opposite_direction_is_near_where_signs_mean_nothing() -> None:
    rows = np.array([[1.0, 0.0], [-1.0, 0.01], [0.5, 0.5]])
    assert nearest_neighbours(rows, 1)[0, 0] == 2
    assert nearest_neighbours(rows, 1, absolute=True)[0, 0] == 1


def test_too_many_neighbours_are_refused() -> None:
    with pytest.raises(ValueError, match="n_neighbours is 3"):
        nearest_neighbours(np.eye(3), 3)


def test_planted_clusters_are_pure_and_shuffled_labels_are_not() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(5), 40)
    rows = rng.normal(size=(5, 16))[labels] + 0.3 * rng.normal(size=(200, 16))
    found = label_purity(nearest_neighbours(rows, 5), labels, n_permutations=50, rng=rng)
    assert found.purity > 0.95
    assert abs(found.null.mean() - 39 / 199) < 0.02
    assert found.purity > found.null.max()
