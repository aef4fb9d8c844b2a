"""Does a small cloud of points surround a hole? First persistent homology, with a Gaussian null."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from trials.lazy import lazy_module

ripser = lazy_module("ripser")  # imports scikit-learn, which takes over a second

_FAINTEST = 1e-3


class Loops(NamedTuple):
    """How far the longest-lived loop of a cloud lasts.

    Attributes:
        persistence: death over birth of the loop with the largest ratio; 1 without a loop.
        null: the same for Gaussian clouds with as many points and exactly the same covariance.
        scores: float64, (n_points, n_components), the cloud on its leading principal components.
    """

    persistence: float
    null: Float[np.ndarray, " n_null"]
    scores: Float[np.ndarray, "n_points n_components"]


def loops(
    points: Float[np.ndarray, "n_points d"],
    *,
    n_components: int,
    n_null: int,
    rng: np.random.Generator,
) -> Loops:
    """max death / birth in H1 of the Vietoris-Rips filtration of the leading components.

    The left singular vectors of a Gaussian cloud are uniform and independent of its singular
    values, so drawing them again gives a null without parameters.

    Raises:
        ValueError: not more than `n_components` + 1 points.
    """
    if len(points) < n_components + 2:
        raise ValueError(
            f"{len(points)} points on {n_components} components; it takes {n_components + 2}"
        )
    centred = points.astype(np.float64) - points.astype(np.float64).mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    scores = left[:, :n_components] * singular[:n_components]
    null = [
        _persistence(
            _uniform_directions(len(points), scores.shape[1], rng) * singular[: scores.shape[1]]
        )
        for _ in range(n_null)
    ]
    return Loops(_persistence(scores), np.array(null), scores)


def loop_score(persistence: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """ln ln (death / birth): for noise, nearly the same distribution for any cloud.

    Source: Bobrowski and Skraba 2023.
    """
    return np.asarray(np.log(np.maximum(np.log(np.maximum(persistence, 1.0)), _FAINTEST)))


def _uniform_directions(n_points: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Orthonormal columns, uniform among those that sum to zero."""
    drawn = rng.standard_normal((n_points, n))
    return np.asarray(np.linalg.qr(drawn - drawn.mean(axis=0))[0])


def _persistence(scores: np.ndarray) -> float:
    diagram = ripser.ripser(scores, maxdim=1)["dgms"][1]
    lived = diagram[diagram[:, 0] > 0]
    return float((lived[:, 1] / lived[:, 0]).max()) if len(lived) else 1.0
