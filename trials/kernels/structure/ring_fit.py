"""Does a small cloud hold a ring of points, perhaps around others? A likelihood ratio with a null.

The cloud is whitened on its leading principal components. For a Gaussian cloud of any covariance,
what is left is uniform among frames, so one set of draws is the null of every cloud of that size.
"""

from collections.abc import Iterable
from itertools import combinations, product, starmap
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import ive, logsumexp

from trials.lazy import lazy_module

if TYPE_CHECKING:
    from sklearn import mixture
else:  # takes over a second
    mixture = lazy_module("sklearn.mixture")

_ON_RING = (0.3, 0.4, 0.55, 0.75, 1.0)
_RADIUS_OVER_SPREAD = (2.0, 3.0, 4.0, 6.0, 9.0, 14.0)
_FAR_POINTS = (0.1, 0.2, 0.35, 0.5)
_SPREAD_RATIO = (1.0, 1.5, 2.0, 3.0, 5.0, 8.0)
_FAR = 7.0
_GRID = 1401
_OUTLIERS = 0.02
"""Share of a wide Gaussian in every model, so that one far point does not decide."""
_BATCH = 2000
_MOST_CLUSTERS = 6
_VERY_STRONG = 10.0
_UNEVEN = 0.05


class RingFit(NamedTuple):
    """How much better a ring describes a cloud than a centre with tails does.

    Attributes:
        score: log likelihood ratio of rings and of mixtures of Gaussians around one centre, in the
            best plane; nats.
        ring: log likelihood of the ring models, averaged over them, in that plane; nats.
        plane: float64, (n_points, 2), whitened coordinates in that plane.
    """

    score: float
    ring: float
    plane: Float[np.ndarray, "n_points 2"]


def ring_fit(points: Float[np.ndarray, "n_points d"], *, n_components: int) -> RingFit:
    """max over planes of two leading components of ln p(plane | ring) / p(plane | one centre).

    Ring: a share of the points lies on a circle and the rest at its centre, all with the same
    isotropic Gaussian spread. One centre: a share of the points has a wider spread than the rest.
    Both are averages over a grid: of shares, and of radius over spread (2 to 14) or of the two
    spreads (1 to 8).

    Raises:
        ValueError: not more than `n_components` + 1 points.
    """
    if len(points) < n_components + 2:
        raise ValueError(
            f"{len(points)} points on {n_components} components; it takes {n_components + 2}"
        )
    centred = points.astype(np.float64) - points.astype(np.float64).mean(axis=0)
    left = np.linalg.svd(centred, full_matrices=False)[0][:, :n_components]
    whitened = left * np.sqrt(len(points))
    planes = [whitened[:, pair] for pair in combinations(range(whitened.shape[1]), 2)]
    scores = [float(_score(plane)) for plane in planes]
    best = int(np.argmax(scores))
    plane = planes[best]
    gaussian = -0.5 * float((plane**2).sum()) - len(plane) * np.log(2 * np.pi)
    return RingFit(scores[best], float(_average(_RINGS, _bins(plane))) + gaussian, plane)


def ring_null(
    n_points: int, *, n_components: int, n_draws: int, rng: np.random.Generator
) -> Float[np.ndarray, " n_draws"]:
    """`ring_fit(...).score` of Gaussian clouds, ascending; the same for every covariance.

    The left singular vectors of a Gaussian cloud are uniform and independent of its singular
    values, so this is exact.
    """
    found = []
    for start in range(0, n_draws, _BATCH):
        drawn = rng.standard_normal((min(_BATCH, n_draws - start), n_points, n_components))
        frames = np.linalg.qr(drawn - drawn.mean(axis=1, keepdims=True))[0] * np.sqrt(n_points)
        pairs = combinations(range(n_components), 2)
        found.append(np.max([_score(frames[..., pair]) for pair in pairs], axis=0))
    return np.sort(np.concatenate(found))


def is_ring(fit: RingFit, rng: np.random.Generator) -> bool:
    """Whether neither clusters nor an arc describe the plane better.

    Clusters: the Bayesian information criterion of a mixture of 2 to 6 Gaussians with a common
    covariance is lower by more than 10, very strong evidence (Kass and Raftery 1995). An arc:
    the far points leave a wide gap.
    """
    n = len(fit.plane)
    if _is_arc(fit.plane):
        return False
    ring = -2 * fit.ring + 2 * np.log(n)
    return all(
        mixture.GaussianMixture(
            k, covariance_type="tied", n_init=2, random_state=int(rng.integers(1 << 31))
        )
        .fit(fit.plane)
        .bic(fit.plane)
        > ring - _VERY_STRONG
        for k in range(2, min(_MOST_CLUSTERS, n // 4) + 1)
    )


def _is_arc(plane: np.ndarray) -> bool:
    """Whether the far points leave a gap that uniform angles do in less than 5 % of cases.

    By Bonferroni's bound on the widest gap (Stevens 1939).
    """
    r = np.linalg.norm(plane, axis=1)
    far = plane[r > 0.6 * np.sort(r)[-max(5, len(r) // 3) :].mean()]
    m, angle = len(far), np.sort(np.arctan2(far[:, 1], far[:, 0]))
    gap = np.diff(np.append(angle, angle[0] + 2 * np.pi)).max() / (2 * np.pi)
    return bool(m * (1 - gap) ** (m - 1) < _UNEVEN)


def _log_ratios(densities: Iterable[np.ndarray]) -> np.ndarray:
    """(n_models, _GRID): ln of a density over that of a Gaussian with the same mean of r^2, 2."""
    outliers = np.exp(-(_R**2) / 2)
    mixed = [(1 - _OUTLIERS) * density + _OUTLIERS * outliers for density in densities]
    return np.log(np.array(mixed)) + _R**2 / 2


def _ring_density(share: float, ratio: float) -> np.ndarray:
    variance = 2 / (2 + share * ratio**2)
    radius = ratio * np.sqrt(variance)
    ring = ive(0, _R * radius / variance) * np.exp(-((_R - radius) ** 2) / (2 * variance))
    return np.asarray((share * ring + (1 - share) * np.exp(-(_R**2) / (2 * variance))) / variance)


def _centre_density(share: float, ratio: float) -> np.ndarray:
    near = 1 / (1 - share + share * ratio**2)
    far = near * ratio**2
    return np.asarray(
        share * np.exp(-(_R**2) / (2 * far)) / far
        + (1 - share) * np.exp(-(_R**2) / (2 * near)) / near
    )


_R = np.linspace(0, _FAR, _GRID)
_RINGS = _log_ratios(starmap(_ring_density, product(_ON_RING, _RADIUS_OVER_SPREAD)))
_CENTRES = _log_ratios(starmap(_centre_density, product(_FAR_POINTS, _SPREAD_RATIO)))


def _bins(plane: np.ndarray) -> np.ndarray:
    r = np.linalg.norm(plane, axis=-1)
    return np.asarray(np.minimum(np.rint(r / _FAR * (_GRID - 1)).astype(np.int64), _GRID - 1))


def _average(models: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """ln of the mean likelihood ratio of the models, of clouds (..., n_points)."""
    ratios = np.stack([model[bins].sum(axis=-1) for model in models])
    return np.asarray(logsumexp(ratios, axis=0) - np.log(len(models)))


def _score(plane: np.ndarray) -> np.ndarray:
    """Of whitened clouds, (..., n_points, 2)."""
    bins = _bins(plane)
    return np.asarray(_average(_RINGS, bins) - _average(_CENTRES, bins))
