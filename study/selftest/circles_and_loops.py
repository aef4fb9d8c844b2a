"""Circles and loops: what is open, clustered or heavy-tailed must not be called one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from study.selftest.case import LEVEL, Case, Draw
from trials.circles.labelled import verdict
from trials.circles.search import ring_p_value
from trials.inputs.controls.planted import Shape, ordered_points, planted_ring
from trials.kernels.statistics import benjamini_hochberg
from trials.kernels.structure import Circularity, circularity, ring_fit, ring_null


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


_OPEN: tuple[Shape, ...] = ("line", "arc", "walk", "chain")

CIRCLE_CASES = (
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
)
