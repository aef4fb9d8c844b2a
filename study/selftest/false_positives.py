"""How often each test is wrong: its false positive rate and its power.

Every test that the kinds use runs on many draws of data without the structure it tests for, where
it may report it in one draw of twenty; and on data with the structure, which it must mostly find.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from trials.circles.labelled import verdict
from trials.circles.search import ring_p_value
from trials.inputs.controls.planted import Shape, ordered_points, planted_ring
from trials.kernels.statistics import (
    asymptote,
    benjamini_hochberg,
    paired_gap,
    permutation_p_value,
)
from trials.kernels.structure import (
    Circularity,
    binding_gain,
    circularity,
    clustering_coefficient,
    hopkins,
    label_purity,
    like_directions,
    nearest_neighbours,
    ring_fit,
    ring_null,
    set_agreement,
)

LEVEL = 0.05
Draw = Callable[[np.random.Generator], np.ndarray]


class Case(NamedTuple):
    """One test on one type of data.

    Attributes:
        test: what is tested for.
        data: what the data holds.
        draw: `draw(rng)`, bool, whether the test was positive on each data set that was drawn.
        most, least: bounds of the share of positive draws.
    """

    test: str
    data: str
    draw: Draw
    most: float = 1.0
    least: float = 0.0


def _order(
    shape: Shape, n: int, d: int, shares: tuple[float, ...], said: Callable[[Circularity], bool]
) -> Draw:
    """Points cut between any two labels, moved by up to 0.3 steps."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        points = ordered_points(
            shape,
            n,
            d,
            share=shares[rng.integers(len(shares))],
            rng=rng,
            cut=int(rng.integers(n)),
            jitter=0.3,
        )
        found = circularity(points, np.arange(n), n, n_permutations=199, rng=rng)
        return np.array([said(found)])

    return draw


def _around(found: Circularity) -> bool:
    return found.p <= LEVEL


def _along(found: Circularity) -> bool:
    return found.p_curve <= LEVEL


def _circle(found: Circularity) -> bool:
    return verdict(found, around=_around(found), along=_along(found)) == "circle"


_N_CANDIDATES, _N_PLANTED, _N_POINTS = 60, 3, 30


def _cloud(rng: np.random.Generator) -> np.ndarray:
    """A neighbourhood: 30 points of falling variance in 576 dimensions."""
    return np.asarray(rng.standard_normal((_N_POINTS, 576)) * np.arange(1, 577) ** -0.25)


def _heavy(rng: np.random.Generator) -> np.ndarray:
    tails = rng.exponential(size=(_N_POINTS, 1)) * rng.standard_normal((_N_POINTS, 8))
    return _with_signal(np.pad(tails, ((0, 0), (0, 568))), rng)


def _clusters(rng: np.random.Generator) -> np.ndarray:
    n = rng.integers(2, 6)
    return _with_signal(rng.standard_normal((n, 576))[rng.integers(n, size=_N_POINTS)], rng)


def _half_ring(rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, np.pi, _N_POINTS)
    plane = rng.standard_normal((2, 576))
    return _with_signal(np.stack([np.cos(angle), np.sin(angle)], axis=1) @ plane, rng)


def _with_signal(signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noise = _cloud(rng)
    signal = signal - signal.mean(axis=0)
    return np.asarray(signal * np.linalg.norm(noise) / np.linalg.norm(signal) + noise)


def _planted(plant: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Draw:
    """Three of sixty clouds are changed by `plant`: are they discovered?"""

    def draw(rng: np.random.Generator) -> np.ndarray:
        clouds = [_cloud(rng) for _ in range(_N_CANDIDATES)]
        for i in range(_N_PLANTED):
            clouds[i] = plant(clouds[i], rng)
        return np.asarray(benjamini_hochberg(_ring_p(clouds), level=LEVEL).rejected[:_N_PLANTED])

    return draw


def _rings(n_on_ring: int) -> Draw:
    """Rings with 40 % of the variance."""
    return _planted(lambda cloud, rng: planted_ring(cloud, n_on_ring, share=0.4, rng=rng))


def _no_ring(cloud: Callable[[np.random.Generator], np.ndarray]) -> Draw:
    def draw(rng: np.random.Generator) -> np.ndarray:
        return np.asarray(_ring_p([cloud(rng) for _ in range(20)]) <= LEVEL)

    return draw


def _ring_p(clouds: list[np.ndarray]) -> np.ndarray:
    null = ring_null(_N_POINTS, n_components=3, n_draws=5000, rng=np.random.default_rng(0))
    return np.array([ring_p_value(ring_fit(one, n_components=3), null) for one in clouds])


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


def _gap(mean: float, n_seeds: int) -> Draw:
    """Paired losses of two arms; is the lower end of the 95 % interval above zero?"""

    def draw(rng: np.random.Generator) -> np.ndarray:
        both = rng.standard_normal((1, 60)) + 0.1 * rng.standard_normal((n_seeds, 60))
        seeds = mean + 0.01 * rng.standard_normal((n_seeds, 1))
        arm = both + seeds + 0.05 * rng.standard_normal((n_seeds, 60))
        return np.array([paired_gap(arm, both, n_draws=500, rng=rng).low > 0])

    return draw


_TIMES = np.unique(np.rint(np.geomspace(1, 1e5, 16)))


def _curve_to_zero(rng: np.random.Generator) -> np.ndarray:
    """Of five forms, with random constants."""
    t, u = _TIMES, rng.random(3)
    forms = (
        1 / (1 + (0.2 + u[0]) * np.log1p(t)),
        t ** -(0.2 + 0.4 * u[0]),
        0.7 * t ** -(0.5 + 0.3 * u[0]) + 0.3 * t ** -(0.1 + 0.15 * u[1]),
        t ** -(0.3 + 0.3 * u[0]) * (1 + t / (100 + 900 * u[1])) ** (0.15 + 0.15 * u[2]),
        t ** -(0.1 + 0.1 * u[0]) * (1 + t / (100 + 900 * u[1])) ** -(0.2 + 0.3 * u[2]),
    )
    return np.asarray(forms[rng.integers(len(forms))])


def _offset(curve: Callable[[np.random.Generator], np.ndarray]) -> Draw:
    def draw(rng: np.random.Generator) -> np.ndarray:
        errors = curve(rng) * np.exp(0.01 * rng.standard_normal((5, len(_TIMES))))
        return np.array([asymptote(_TIMES, errors, noise=0.01).ending == "offset"])

    return draw


def _curve_to_offset(rng: np.random.Generator) -> np.ndarray:
    return np.asarray(0.1 + (0.5 + rng.random()) * _TIMES ** -(0.4 + 0.3 * rng.random()))


_OPEN: tuple[Shape, ...] = ("line", "arc", "walk", "chain")

CASES = (
    Case("order of 7 labels", "noise", _order("none", 7, 64, (0.0,), _around), most=LEVEL),
    Case("order of 12 labels", "noise", _order("none", 12, 64, (0.0,), _around), most=LEVEL),
    Case("a curve of 12 labels", "noise", _order("none", 12, 64, (0.0,), _along), most=LEVEL),
    *(
        Case(
            "a circle",
            f"{shape} cut anywhere, {n} labels, 0.3 to 0.8 of the variance",
            _order(shape, n, 64, (0.3, 0.5, 0.8), _circle),
            most=LEVEL,
        )
        for shape in _OPEN
        for n in (7, 10, 12, 26)
    ),
    Case(
        "order of 12 labels",
        "circle, a fifth of the variance",
        _order("circle", 12, 64, (0.2,), _around),
        least=0.95,
    ),
    *(
        Case(
            "a circle",
            f"circle, {n} labels in 576 dimensions, {share:g} of the variance",
            _order("circle", n, 576, (share,), _circle),
            least=least,
        )
        for n, leasts in (
            (7, (0.8, 0.9, 0.95)),
            (10, (0.9, 0.95, 0.95)),
            (12, (0.9, 0.95, 0.95)),
            (26, (0.95, 0.95, 0.95)),
        )
        for share, least in zip((0.2, 0.3, 0.5), leasts, strict=True)
    ),
    Case("a loop", "Gaussian clouds", _no_ring(_cloud), most=LEVEL),
    Case("a loop", "2 to 5 clusters", _no_ring(_clusters), most=LEVEL),
    Case(
        "a loop",
        "3 half rings in 60 clouds, half of the variance",
        _planted(lambda cloud, rng: _half_ring(rng)),
        most=LEVEL,
    ),
    Case("a loop", "clouds with heavy tails", _no_ring(_heavy), most=LEVEL),
    Case(
        "a loop", "3 rings of 30 points in 60 clouds, 40 % of the variance", _rings(30), least=0.8
    ),
    Case("a loop", "3 rings of 12 of 30 points, 40 % of the variance", _rings(12), least=0.5),
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
    Case("a worse arm, 3 seeds", "equal arms", _gap(0.0, 3), most=LEVEL / 2),
    Case("a worse arm, 5 seeds", "equal arms", _gap(0.0, 5), most=LEVEL / 2),
    Case("a worse arm, 5 seeds", "worse by five deviations", _gap(0.05, 5), least=0.95),
    Case("an offset", "curves that end at zero", _offset(_curve_to_zero), most=0.0),
    Case("an offset", "curves that end at 0.1", _offset(_curve_to_offset), least=0.5),
)
