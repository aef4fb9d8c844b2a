"""Is a two-dimensional cloud one feature, or a mixture or a product of one-dimensional ones?"""

import numpy as np
from jaxtyping import Float

MOST_BIAS = 2000
"""Points below which the mutual information of 10 by 10 bins is mostly bias (81 / 2n nats)."""

_BINS = 10
_ANGLES = 100
_WIDTH = 0.1


def mixture_index(points: Float[np.ndarray, "n_points 2"]) -> float:
    """max over v, c of P(|v.f + c| < 0.1 sqrt(E (v.f + c)^2)): mass near some line.

    Near 1 for a mixture of a feature with its absence, small for a circle. Exact over c, on a grid
    of 100 directions of v. Source: Engels et al. 2024 (there by gradient ascent).
    """
    centred = points - points.mean(axis=0)
    best = 0.0
    for angle in np.pi * np.arange(_ANGLES) / _ANGLES:
        along = np.sort(centred @ np.array([np.cos(angle), np.sin(angle)]))
        variance = float((along**2).mean())
        # With c = -t, E (f - t)^2 = variance + t^2: a window around every point's own t.
        half = _WIDTH * np.sqrt(variance + along**2)
        inside = np.searchsorted(along, along + half, side="left") - np.searchsorted(
            along, along - half, side="right"
        )
        best = max(best, float(inside.max()) / len(along))
    return best


def separability(points: Float[np.ndarray, "n_points 2"], rng: np.random.Generator) -> float:
    """min over rotations of the mutual information of the two coordinates, bits.

    On 10 by 10 bins of equal mass, minus that of shuffled coordinates; near 0 for a product of two
    independent features, about 1 for a circle. Source: Engels et al. 2024.
    """
    centred = points - points.mean(axis=0)
    found = []
    for angle in np.pi / 2 * np.arange(_ANGLES) / _ANGLES:
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        found.append(_information(*(centred @ turn).T))
    x, y = centred.T
    bias = np.mean([_information(x, rng.permutation(y)) for _ in range(10)])
    return float(min(found) - bias)


def _information(x: np.ndarray, y: np.ndarray) -> float:
    ranks = (np.argsort(np.argsort(of)) * _BINS // len(of) for of in (x, y))
    first, second = ranks
    joint = np.bincount(first * _BINS + second, minlength=_BINS**2) / len(x)
    joint = joint.reshape(_BINS, _BINS)
    expected = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    some = joint > 0
    return float((joint[some] * np.log2(joint[some] / expected[some])).sum())
