"""Do labelled points lie on a circle in the order of their labels, or along a line?"""

from itertools import permutations
from math import factorial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from trials.kernels.statistics.significance import permutation_p_value
from trials.kernels.structure._order import fourier, projection, random_orders, weakest_closure

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
        closure: excess similarity of pairs across a cut between two labels, over that of all pairs
            as near to each other around the circle; at the weakest cut. 1 on an even circle, 0 or
            less on a curve that is open anywhere; NaN if near pairs are no more alike than others.
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
    gram = _gram(points)
    total = max(float(np.trace(gram)), np.finfo(float).tiny)
    exact = factorial(n) <= _MOST_EXACT
    circle = projection(fourier(places, period, 1))
    curve = projection(np.stack([places, places**2], axis=1).astype(np.float64))
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
        float((projection(fourier(places, period, k)) * gram).sum() / total)
        for k in range(1, period // 2 + 1)
    ]
    return Circularity(
        float(shares[0]),
        float(shares[1]),
        p,
        p_curve,
        exact,
        _circulant_share(gram, places, period),
        float(weakest_closure(gram[None], places, period)[0]),
        _wrap_gap(gram, places, period),
        np.array(spectrum),
    )


def order_beyond(
    points: Float[np.ndarray, "n_points d"],
    others: Float[np.ndarray, "n_points d_other"],
    places: Int[np.ndarray, " n_points"],
    period: int,
    *,
    n_permutations: int,
    rng: np.random.Generator,
) -> float:
    """p-value of the first Fourier pair in the similarities that `others` do not predict.

    The off-diagonal inner products of `points` are regressed on those of `others`; labels are
    permuted over what is left. Source: Smouse, Long and Sokal 1986 (partial Mantel test).
    """
    n = len(points)
    off = ~np.eye(n, dtype=bool)
    ours, theirs = (_gram(one)[off] for one in (points, others))
    ours, theirs = ours - ours.mean(), theirs - theirs.mean()
    slope = float(ours @ theirs) / max(float(theirs @ theirs), np.finfo(float).tiny)
    left = np.zeros((n, n))
    left[off] = ours - slope * theirs
    circle = projection(fourier(places, period, 1)).ravel()
    orders = random_orders(n, n_permutations, rng)
    null = np.concatenate([_permuted(left, batch) @ circle for batch in _batches(orders)])
    return permutation_p_value(float(left.ravel() @ circle) - _TIE, null)


def _gram(points: np.ndarray) -> np.ndarray:
    centred = points.astype(np.float64) - points.astype(np.float64).mean(axis=0)
    return np.asarray(centred @ centred.T)


def _orders(n: int, exact: bool, n_permutations: int, rng: np.random.Generator) -> np.ndarray:
    if exact:
        return np.array(list(permutations(range(n))))
    return random_orders(n, n_permutations, rng)


def _batches(orders: np.ndarray) -> list[np.ndarray]:
    return [orders[i : i + _BATCH] for i in range(0, len(orders), _BATCH)]


def _permuted(gram: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """(n_orders, n * n): the Gram matrix of the points in each order."""
    found = gram[orders[:, :, None], orders[:, None, :]]
    return np.asarray(found.reshape(len(orders), -1))


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


def _wrap_gap(gram: np.ndarray, places: np.ndarray, period: int) -> float:
    squared = np.diag(gram)[:, None] + np.diag(gram) - 2 * gram
    distance = np.sqrt(np.maximum(squared, 0))
    steps = np.diff(places)
    near = np.median(np.diag(distance, 1)[steps == steps.min()])
    return float(distance[0, -1] / near) if near > 0 else float("nan")
