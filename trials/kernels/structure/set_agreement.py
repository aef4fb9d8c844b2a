"""Do neighbouring sets of items share labels more than their positions alone explain?"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

_BLOCK_ENTRIES = 1 << 22


class Agreement(NamedTuple):
    """How often items of a set and of its neighbours have one label.

    Attributes:
        share: (n_labellings,), of pairs of items of different groups.
        null: (n_permutations, n_labellings), the same with the sets permuted over their places.
    """

    share: Float[np.ndarray, " n_labellings"]
    null: Float[np.ndarray, "n_permutations n_labellings"]


def set_agreement(
    items: Int[np.ndarray, "n_sets m"],
    neighbours: Int[np.ndarray, "n_sets k"],
    groups: Int[np.ndarray, " n_items"],
    labels: Int[np.ndarray, "n_labellings n_items"],
    *,
    strata: Int[np.ndarray, " n_sets"],
    n_permutations: int,
    rng: np.random.Generator,
) -> Agreement:
    """Share of equal labels among pairs (item of a set, item of a neighbour), and its null.

    Pairs within one group are left out: neighbouring sets share items and variants of items, which
    is no evidence about labels. Sets are permuted within strata. An item of -1 stands for none.
    """
    within = [np.flatnonzero(strata == s) for s in np.unique(strata)]
    shares = [_share(items, neighbours, groups, labels)]
    for _ in range(n_permutations):
        order = np.arange(len(items))
        for members in within:
            order[members] = rng.permutation(members)
        shares.append(_share(items[order], neighbours, groups, labels))
    return Agreement(shares[0], np.array(shares[1:]).reshape(n_permutations, len(labels)))


def _share(
    items: np.ndarray, neighbours: np.ndarray, groups: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    n_sets, m = items.shape
    equal, counted = np.zeros(len(labels)), 0
    of_group = np.where(items >= 0, groups[items], -1)
    of_label = labels[:, items]
    step = max(1, _BLOCK_ENTRIES // (neighbours.shape[1] * m * m))
    for start in range(0, n_sets, step):
        here, there = slice(start, start + step), neighbours[start : start + step]
        mine, theirs = of_group[here][:, None, :, None], of_group[there][:, :, None, :]
        counts = (mine != theirs) & (mine >= 0) & (theirs >= 0)
        counted += int(counts.sum())
        for i, labelling in enumerate(of_label):
            same = labelling[here][:, None, :, None] == labelling[there][:, :, None, :]
            equal[i] += np.count_nonzero(same & counts)
    return equal / counted if counted else np.full(len(labels), np.nan)
