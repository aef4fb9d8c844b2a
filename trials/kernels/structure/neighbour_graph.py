"""Are directions clustered? What the graph of nearest neighbours says, without any picture."""

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from trials.kernels.structure.neighbours import nearest_neighbours

_ROUNDS = 10


def clustering_coefficient(neighbours: Int[np.ndarray, "n k"]) -> float:
    """Mean over the nodes of the share of pairs of their neighbours that are neighbours too.

    Of the undirected graph that joins each row with its k nearest; every node has at least k.
    Source: Watts and Strogatz 1998.
    """
    n, k = neighbours.shape
    rows = np.repeat(np.arange(n), k)
    joined = csr_array((np.ones(n * k), (rows, neighbours.ravel())), shape=(n, n))
    joined = joined.maximum(joined.T)
    degree = joined.sum(axis=1)
    triangles = (joined @ joined).multiply(joined).sum(axis=1)
    possible = degree * (degree - 1)
    return float(np.mean(triangles / np.maximum(possible, 1)))


def hopkins(
    directions: Float[np.ndarray, "n d"],
    others: Float[np.ndarray, "n_others d"],
    rng: np.random.Generator,
) -> float:
    """sum u / (sum u + sum w): 0.5 without clusters, towards 1 with them.

    w: distance 1 - |cos| of a tenth of the directions from the nearest of the rest; u: of as many
    of `others`, drawn from a reference, from the nearest direction. Source: Hopkins and Skellam
    1954, with first powers: in many dimensions higher powers are dominated by noise.
    """
    n_asked = max(1, min(len(directions) // 10, len(others)))
    asked = rng.choice(len(directions), n_asked, replace=False)
    near = nearest_neighbours(directions, 1, queries=asked, absolute=True)[:, 0]
    within = 1 - np.abs((_unit(directions[asked]) * _unit(directions[near])).sum(axis=1))
    drawn = _unit(others[rng.choice(len(others), n_asked, replace=False)])
    between = 1 - np.abs(drawn @ _unit(directions).T).max(axis=1)
    return float(between.sum() / (between.sum() + within.sum()))


def like_directions(
    directions: Float[np.ndarray, "n d"], n_draws: int, rng: np.random.Generator
) -> list[Float[np.ndarray, "n d"]]:
    """Draws of as many directions without clusters, with the same second moments along each axis.

    The left singular vectors of Gaussian rows are uniform and independent of the rest. They are
    drawn again, so that a draw keeps the moments of this very sample, not only of its
    distribution. Moments are about zero, since the sign of a direction is ignored.
    """
    _, singular, right = np.linalg.svd(_unit(directions).astype(np.float64), full_matrices=False)
    draws = []
    for _ in range(n_draws):
        left = np.linalg.qr(rng.standard_normal((len(directions), len(singular))))[0]
        scale = singular.copy()
        for _ in range(_ROUNDS):
            # Scaling to unit length flattens the spectrum, so start from a steeper one.
            reached = np.sqrt((_unit(left * scale) ** 2).sum(axis=0))
            scale *= singular / np.maximum(reached, np.finfo(float).tiny)
        draws.append(_unit((left * scale) @ right).astype(directions.dtype))
    return draws


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1))
