"""Exact nearest neighbours of rows, and whether neighbours share labels beyond chance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_BLOCK_ENTRIES = 1 << 25


class Purity(NamedTuple):
    """How often a neighbour has the label of its row.

    Attributes:
        purity: share of (row, neighbour) pairs with equal labels.
        null: float64, (n_permutations,); the same with the labels shuffled over the rows.
    """

    purity: float
    null: np.ndarray


def nearest_neighbours(
    rows: np.ndarray,
    n_neighbours: int,
    *,
    queries: np.ndarray | None = None,
    absolute: bool = False,
) -> np.ndarray:
    """Positions of the rows with the largest cosine to each query row, itself left out.

    Args:
        rows: float, (n_rows, d); rows of length 0 have cosine 0 with all.
        n_neighbours: below n_rows.
        queries: positions whose neighbours are wanted; all by default.
        absolute: by |cosine|, as for atoms whose sign is arbitrary.

    Returns:
        int64, (n_queries, n_neighbours), nearest first; ties in the order of the rows.

    Raises:
        ValueError: not 1 <= n_neighbours < n_rows.
    """
    if not 1 <= n_neighbours < len(rows):
        raise ValueError(f"n_neighbours is {n_neighbours}; with {len(rows)} rows it must be below")
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = (rows / np.where(norms > 0, norms, 1)).astype(np.float32)
    which = np.arange(len(rows)) if queries is None else np.asarray(queries)
    found = np.empty((len(which), n_neighbours), dtype=np.int64)
    step = max(1, _BLOCK_ENTRIES // len(rows))
    for start in range(0, len(which), step):
        block = which[start : start + step]
        cosines = unit[block] @ unit.T
        if absolute:
            np.abs(cosines, out=cosines)
        cosines[np.arange(len(block)), block] = -np.inf
        near = np.argpartition(-cosines, n_neighbours - 1, axis=1)[:, :n_neighbours]
        near.sort(axis=1)
        order = np.argsort(-np.take_along_axis(cosines, near, axis=1), axis=1, kind="stable")
        found[start : start + step] = np.take_along_axis(near, order, axis=1)
    return found


def neighbours_of_other_groups(
    rows: np.ndarray,
    groups: np.ndarray,
    n_neighbours: int,
    *,
    n_asked: int,
    queries: np.ndarray | None = None,
    one_per_group: bool = False,
) -> np.ndarray:
    """The nearest rows outside a row's own group: variants of a word carry no information on it.

    Args:
        groups: int, (n_rows,).
        n_asked: how many nearest rows are searched, at most.
        one_per_group: take only the nearest of each group.

    Returns:
        int64, (n_queries, n_neighbours), nearest first; -1 where there are too few.
    """
    which = np.arange(len(rows)) if queries is None else np.asarray(queries)
    near = nearest_neighbours(rows, min(len(rows) - 1, n_asked), queries=which)
    is_other = groups[near] != groups[which][:, None]
    if one_per_group:
        for of_row, found in zip(is_other, groups[near], strict=True):
            first = np.zeros(len(found), dtype=bool)
            first[np.unique(found, return_index=True)[1]] = True
            of_row &= first
    rank = np.cumsum(is_other, axis=1)
    kept = np.full((len(which), n_neighbours), -1, dtype=np.int64)
    row, column = np.nonzero(is_other & (rank <= n_neighbours))
    kept[row, rank[row, column] - 1] = near[row, column]
    return kept


def label_purity(
    neighbours: np.ndarray,
    labels: np.ndarray,
    *,
    n_permutations: int,
    rng: np.random.Generator,
    queries: np.ndarray | None = None,
    strata: np.ndarray | None = None,
) -> Purity:
    """Share of equal labels among (row, neighbour) pairs, and its permutation null.

    Args:
        neighbours: int, (n_queries, k), positions of rows; -1 stands for none.
        labels: int, (n_rows,).
        queries: the rows that have the neighbours; row i by default.
        strata: int, (n_rows,); labels are shuffled within each. All in one by default.
    """
    which = np.arange(len(neighbours)) if queries is None else np.asarray(queries)

    here = neighbours >= 0
    groups = [np.flatnonzero(strata == s) for s in np.unique(strata)] if strata is not None else []

    def share(of: np.ndarray) -> float:
        return float((of[neighbours] == of[which][:, None])[here].mean())

    def shuffled() -> np.ndarray:
        if not groups:
            return rng.permutation(labels)
        of = labels.copy()
        for group in groups:
            of[group] = labels[rng.permutation(group)]
        return of

    return Purity(share(labels), np.array([share(shuffled()) for _ in range(n_permutations)]))
