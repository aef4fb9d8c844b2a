"""Do labelled points lie on a circle in the order of their labels, or along a line?"""

from itertools import permutations
from math import factorial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from trials.kernels.statistics.significance import permutation_p_value

_MOST_EXACT = 50_000
_BATCH = 512
_TIE = 1e-9


class Circularity(NamedTuple):
    """What the order of the labels explains of labelled points.

    A share is a fraction of the sum of squares about the mean point.

    Attributes:
        fourier_share: of the first cosine and sine of the order.
        curve_share: of a line and a parabola of the order, from the first label to the last.
        p: of `fourier_share` when labels are permuted over the points.
        p_curve: likewise of `curve_share`.
        exact: whether all permutations were tried.
        circulant_share: energy of the points' Gram matrix that depends on the distance around the
            circle alone, over the energy that depends on the difference of labels; 1 on a circle.
        closure: excess similarity of pairs across the two ends, over the excess similarity of pairs
            as near to each other inside; 1 on a circle, 0 or less on an open curve.
        wrap_gap: distance of the last point from the first over the median distance of
            neighbours; 1 on an even circle, n - 1 on an even line.
        spectrum: share of each frequency 1 .. period // 2; of evenly placed points they sum to 1.
    """

    fourier_share: float
    curve_share: float
    p: float
    p_curve: float
    exact: bool
    circulant_share: float
    closure: float
    wrap_gap: float
    spectrum: np.ndarray


def circularity(
    points: Float[np.ndarray, "n_points d"],
    places: Int[np.ndarray, " n_points"],
    period: int,
    *,
    n_permutations: int,
    rng: np.random.Generator,
) -> Circularity:
    """`|F^T X|^2 / |X|^2`, F the first Fourier pair in label order, X centred; and is it closed?

    `places` rise and lie in [0, period); a place may have no point. Up to 8 points all orders are
    tried, else `n_permutations`. A line loads on F too: the other numbers distinguish the two.

    Raises:
        ValueError: fewer than 4 points; places that do not rise or leave [0, period).
    """
    n = len(points)
    if n < 4 or np.any(np.diff(places) <= 0) or places[0] < 0 or places[-1] >= period:
        raise ValueError(f"{n} points at places {places.tolist()}; it takes 4, rising below period")
    centred = points.astype(np.float64) - points.astype(np.float64).mean(axis=0)
    gram = centred @ centred.T
    total = max(float(np.trace(gram)), np.finfo(float).tiny)
    exact = factorial(n) <= _MOST_EXACT
    circle = _projection(_fourier(places, period, 1))
    curve = _projection(np.stack([places, places**2], axis=1).astype(np.float64))
    projections = np.stack([circle.ravel(), curve.ravel()])
    shares = projections @ gram.ravel() / total
    orders = _orders(n, exact, n_permutations, rng)
    null = np.concatenate(
        [_permuted(gram, batch) @ projections.T / total for batch in _batches(orders)]
    )
    p, p_curve = (
        float((draws >= share).mean()) if exact else permutation_p_value(share, draws)
        for share, draws in zip((shares - _TIE).tolist(), null.T, strict=True)
    )
    spectrum = [
        float((_projection(_fourier(places, period, k)) * gram).sum() / total)
        for k in range(1, period // 2 + 1)
    ]
    return Circularity(
        float(shares[0]),
        float(shares[1]),
        p,
        p_curve,
        exact,
        _circulant_share(gram, places, period),
        _closure(gram, places, period),
        _wrap_gap(gram, places, period),
        np.array(spectrum),
    )


def _orders(n: int, exact: bool, n_permutations: int, rng: np.random.Generator) -> np.ndarray:
    if exact:
        return np.array(list(permutations(range(n))))
    return rng.permuted(np.tile(np.arange(n), (n_permutations, 1)), axis=1)


def _batches(orders: np.ndarray) -> list[np.ndarray]:
    return [orders[i : i + _BATCH] for i in range(0, len(orders), _BATCH)]


def _permuted(gram: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """(n_orders, n * n): the Gram matrix of the points in each order."""
    found = gram[orders[:, :, None], orders[:, None, :]]
    return np.asarray(found.reshape(len(orders), -1))


def _fourier(places: np.ndarray, period: int, frequency: int) -> np.ndarray:
    angle = 2 * np.pi * frequency * places / period
    if 2 * frequency == period:  # its sine is zero everywhere
        return np.cos(angle)[:, None]
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _projection(functions: np.ndarray) -> np.ndarray:
    """Projection onto the span of the functions of the place, without the constant."""
    basis = np.linalg.qr(functions - functions.mean(axis=0))[0]
    return np.asarray(basis @ basis.T)


def _circulant_share(gram: np.ndarray, places: np.ndarray, period: int) -> float:
    apart = np.abs(places[:, None] - places)
    off = ~np.eye(len(places), dtype=bool)
    values = gram[off] - gram[off].mean()

    def energy(classes: np.ndarray) -> float:
        count, total = np.bincount(classes), np.bincount(classes, weights=values)
        return float((total[count > 0] ** 2 / count[count > 0]).sum())

    toeplitz = energy(apart[off])
    circulant = energy(np.minimum(apart, period - apart)[off])
    return circulant / toeplitz if toeplitz > 0 else float("nan")


def _closure(gram: np.ndarray, places: np.ndarray, period: int) -> float:
    """Pairs at most a quarter turn apart: those across the end vs. the others."""
    apart = np.abs(places[:, None] - places)
    upper = np.triu(np.ones(gram.shape, dtype=bool), 1)
    all_pairs = gram[upper].mean()
    across = within = 0.0
    for arc in range(1, max(1, period // 4) + 1):
        over_the_end, inside = upper & (apart == period - arc), upper & (apart == arc)
        if over_the_end.any() and inside.any():
            weight = over_the_end.sum()
            across += weight * float(gram[over_the_end].mean() - all_pairs)
            within += weight * float(gram[inside].mean() - all_pairs)
    return float(across / within) if within > 0 else float("nan")


def _wrap_gap(gram: np.ndarray, places: np.ndarray, period: int) -> float:
    squared = np.diag(gram)[:, None] + np.diag(gram) - 2 * gram
    distance = np.sqrt(np.maximum(squared, 0))
    steps = np.diff(places)
    near = np.median(np.diag(distance, 1)[steps == steps.min()])
    return float(distance[0, -1] / near) if near > 0 else float("nan")
