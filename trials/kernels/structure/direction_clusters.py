"""Clusters of directions, and maps of them. Signs are ignored: the distance is 1 - |cos|."""

import warnings
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from trials.lazy import lazy_module

# Each takes over a second to import, and most users of this room need neither.
cluster = lazy_module("sklearn.cluster")
manifold = lazy_module("sklearn.manifold")
sklearn_metrics = lazy_module("sklearn.metrics")
umap = lazy_module("umap")

_MOST_FOR_TRUST = 2000


class Clusters(NamedTuple):
    """Clusters by density.

    Attributes:
        label: of each direction; -1 for none.
        clustered_frac: directions in a cluster / directions.
        silhouette: mean over these of (b - a) / max(a, b), a the mean distance within the own
            cluster, b to the nearest other; NaN with fewer than two clusters.
    """

    label: Int[np.ndarray, " n"]
    clustered_frac: float
    silhouette: float


def distances(directions: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n"]:
    """1 - |cos| of all pairs, float64."""
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    apart = 1 - np.abs(unit @ unit.T).astype(np.float64)
    np.maximum(apart, 0, out=apart)
    np.fill_diagonal(apart, 0)
    return np.asarray((apart + apart.T) / 2)


def density_clusters(apart: Float[np.ndarray, "n n"], *, min_cluster_size: int) -> Clusters:
    """HDBSCAN on distances. Source: Campello, Moulavi and Sander 2013."""
    label = cluster.HDBSCAN(
        min_cluster_size=min_cluster_size, metric="precomputed", copy=True
    ).fit_predict(apart)
    inside = np.flatnonzero(label >= 0)
    silhouette = float("nan")
    if len(np.unique(label[inside])) > 1:
        of_inside = apart[np.ix_(inside, inside)]
        silhouette = float(
            sklearn_metrics.silhouette_score(of_inside, label[inside], metric="precomputed")
        )
    return Clusters(label.astype(np.int64), len(inside) / len(label), silhouette)


def umap_map(
    apart: Float[np.ndarray, "n n"], nearest: Int[np.ndarray, "n k"], *, seed: int
) -> Float[np.ndarray, "n 2"]:
    """A map in the plane from the exact neighbours. Source: McInnes, Healy and Melville 2018.

    `nearest` are the k nearest of each direction by `apart`, starting with itself.
    """
    known = nearest, np.take_along_axis(apart, nearest, axis=1), None
    with warnings.catch_warnings():
        # It warns that a seed rules out parallelism, and that given neighbours cannot place new
        # points. Both are intended.
        warnings.simplefilter("ignore")
        placed = umap.UMAP(
            n_neighbors=nearest.shape[1],
            metric="precomputed",
            precomputed_knn=known,
            random_state=seed,
            n_jobs=1,
        ).fit_transform(apart)
    return np.asarray(placed, dtype=np.float32)


def trustworthiness(
    apart: Float[np.ndarray, "n n"], placed: Float[np.ndarray, "n 2"], *, n_neighbours: int
) -> float:
    """1 minus a penalty for false neighbours in the map, by how far apart they are; 1 is best.

    Computed on at most 2000 directions, evenly spaced. Source: Venna and Kaski 2001.
    """
    some = np.unique(np.linspace(0, len(apart) - 1, min(len(apart), _MOST_FOR_TRUST)).astype(int))
    of_some = apart[np.ix_(some, some)]
    return float(
        manifold.trustworthiness(
            of_some, placed[some], n_neighbors=n_neighbours, metric="precomputed"
        )
    )


def shared_neighbours(
    placed: Float[np.ndarray, "n 2"], other: Float[np.ndarray, "n 2"], *, n_neighbours: int
) -> float:
    """Share of a point's nearest neighbours in one map that are its nearest in another."""
    found = []
    for at in (placed, other):
        near = np.asarray(cKDTree(at).query(at, k=n_neighbours + 1)[1])
        found.append([set(row) - {i} for i, row in enumerate(near.tolist())])
    shared = [len(a & b) / n_neighbours for a, b in zip(*found, strict=True)]
    return float(np.mean(shared))
