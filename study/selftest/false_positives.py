"""How often each test is wrong: its false positive rate and its power.

Every test that the kinds use runs on many draws of data without the structure it tests for, where
it may report it in one draw of twenty; and on data with the structure, which it must mostly find.
"""

from __future__ import annotations

import itertools

import numpy as np

from study.selftest.case import LEVEL, Case, Draw
from study.selftest.circles_and_loops import CIRCLE_CASES
from study.selftest.verdict_cases import VERDICT_CASES
from trials.kernels.statistics import (
    benjamini_hochberg,
    permutation_p_value,
)
from trials.kernels.structure import (
    binding_gain,
    clustering_coefficient,
    hopkins,
    label_purity,
    like_directions,
    nearest_neighbours,
    set_agreement,
)


def _binding(share: float) -> Draw:
    """100 pairs with an offset; a matrix of rank 4 for `share` of what it leaves."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        a, noise = rng.standard_normal((2, 100, 64))
        directions = np.linalg.qr(rng.standard_normal((64, 8)))[0]
        image = a @ (directions[:, :4] @ directions[:, 4:].T)
        image *= np.sqrt((noise**2).sum() / (image**2).sum())
        basis = np.linalg.qr(np.hstack([directions[:, :4], rng.standard_normal((64, 21))]))[0]
        b = 0.8 * a + directions[:, 0] + np.sqrt(share) * image + np.sqrt(1 - share) * noise
        found = binding_gain(a, b, basis, n_folds=5, n_permutations=39, rank=4, rng=rng)
        return np.array([permutation_p_value(found.gain, found.null) <= LEVEL])

    return draw


def _purity(strength: float) -> Draw:
    """400 rows in ten strata; labels follow the stratum, and with `strength` the row itself."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        strata = np.repeat(np.arange(10), 40)
        labels = (strata + rng.integers(2, size=400)) % 3
        rows = rng.standard_normal((400, 16)) + 0.5 * rng.standard_normal((10, 16))[strata]
        rows += strength * rng.standard_normal((3, 16))[labels]
        found = label_purity(
            nearest_neighbours(rows, 5), labels, n_permutations=99, rng=rng, strata=strata
        )
        return np.array([permutation_p_value(found.purity, found.null) <= LEVEL])

    return draw


def _agreement(strength: float) -> Draw:
    """80 sets of items; with `strength`, items of neighbouring sets have one label."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        directions = rng.standard_normal((80, 16))
        side = (directions[:, 0] > 0).astype(np.int64)
        items = rng.permutation(800)[:480].reshape(80, 6)
        labels = rng.integers(2, size=(1, 800))
        follows = rng.random(items.shape) < strength
        labels[0, items] = np.where(follows, side[:, None], labels[0, items])
        found = set_agreement(
            items,
            nearest_neighbours(directions, 5),
            np.arange(800),
            labels,
            strata=rng.integers(4, size=80),
            n_permutations=99,
            rng=rng,
        )
        return np.array([permutation_p_value(float(found.share[0]), found.null[:, 0]) <= LEVEL])

    return draw


def _directions(strength: float, rng: np.random.Generator) -> np.ndarray:
    """200 directions of uneven spread, in 20 clusters with `strength`."""
    spread = np.linspace(2, 0.5, 32)
    middles = np.repeat(rng.standard_normal((20, 32)), 10, axis=0)
    return np.asarray((rng.standard_normal((200, 32)) + strength * middles) * spread)


def _clustering(strength: float) -> Draw:
    def draw(rng: np.random.Generator) -> np.ndarray:
        def coefficient(of: np.ndarray) -> float:
            return clustering_coefficient(nearest_neighbours(of, 8, absolute=True))

        found = _directions(strength, rng)
        null = [coefficient(one) for one in like_directions(found, 19, rng)]
        return np.array([permutation_p_value(coefficient(found), np.array(null)) <= LEVEL])

    return draw


def _hopkins(strength: float) -> Draw:
    def draw(rng: np.random.Generator) -> np.ndarray:
        found = _directions(strength, rng)
        references = like_directions(found, 20, rng)
        near = float(np.mean([hopkins(found, one, rng) for one in references]))
        null = [hopkins(*pair, rng) for pair in itertools.pairwise(references)]
        return np.array([permutation_p_value(near, np.array(null)) <= LEVEL])

    return draw


def _discoveries(rng: np.random.Generator) -> np.ndarray:
    """20 hypotheses without truth: is any of them rejected?"""
    return np.array([benjamini_hochberg(rng.random(20), level=LEVEL).rejected.any()])


CASES = (
    *CIRCLE_CASES,
    Case("a binding", "an offset alone", _binding(0.0), most=LEVEL),
    Case("a binding", "rank 4, 60 % of what the offset leaves", _binding(0.6), least=0.95),
    Case("labels of neighbours", "labels of strata alone", _purity(0.0), most=LEVEL),
    Case("labels of neighbours", "labels that rows show", _purity(1.0), least=0.95),
    Case("labels of neighbouring sets", "labels at random", _agreement(0.0), most=LEVEL),
    Case("labels of neighbouring sets", "labels that directions show", _agreement(0.7), least=0.9),
    Case("clustering coefficient", "Gaussian directions", _clustering(0.0), most=LEVEL),
    Case("clustering coefficient", "20 clusters", _clustering(1.5), least=0.95),
    Case("Hopkins statistic", "Gaussian directions", _hopkins(0.0), most=LEVEL),
    Case("Hopkins statistic", "20 clusters", _hopkins(1.5), least=0.95),
    Case("any of 20 at a false discovery rate of 5 %", "no truth in any", _discoveries, most=LEVEL),
    *VERDICT_CASES,
)
