"""Labels that neighbouring sets have in common."""

import numpy as np
import pytest

from trials.kernels.structure.set_agreement import set_agreement


def agreement(items, neighbours, groups, labels, **more):
    return set_agreement(
        np.array(items),
        np.array(neighbours),
        np.array(groups),
        np.array(labels),
        strata=more.pop("strata", np.zeros(len(items), dtype=int)),
        n_permutations=more.pop("n_permutations", 0),
        rng=np.random.default_rng(0),
    )


def test_pairs_of_one_group_and_missing_items_do_not_count():
    # Sets {0, 1} and {1, 2}; items 0 and 2 are of one group.
    found = agreement([[0, 1], [1, 2]], [[1], [0]], [0, 1, 0], [[0, 0, 1], [0, 1, 1]])
    # Counted, twice each: (0, 1) and (1, 2). Labelling 0: 0 = 0, 0 != 1; labelling 1: no, yes.
    assert found.share.tolist() == [0.5, 0.5]
    found = agreement([[0, -1], [1, 2]], [[1], [0]], [0, 1, 2], [[0, 0, 1]])
    assert found.share.tolist() == [0.5]
    none = agreement([[0], [0]], [[1], [0]], [0], [[0]])
    assert np.isnan(none.share).all()


def test_shuffled_sets_stay_within_their_strata():
    # In each stratum all items have one label: a shuffle within strata changes nothing.
    items = np.arange(40).reshape(20, 2)
    strata = np.repeat([0, 1], 10)
    neighbours = np.stack([np.roll(np.arange(10), 1), np.roll(np.arange(10), 2)], axis=1)
    neighbours = np.concatenate([neighbours, 10 + neighbours])
    labels = np.repeat([0, 1], 20)[None]
    found = agreement(items, neighbours, np.arange(40), labels, strata=strata, n_permutations=20)
    assert found.share[0] == 1
    assert (found.null == 1).all()
    mixed = agreement(items, neighbours, np.arange(40), labels, n_permutations=20)
    assert mixed.null.mean() == pytest.approx(0.5, abs=0.1)
