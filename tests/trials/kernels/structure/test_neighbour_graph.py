"""The graph of neighbours of clustered directions and of directions without clusters."""

import numpy as np
import pytest

from trials.kernels.structure.neighbour_graph import (
    clustering_coefficient,
    hopkins,
    like_directions,
)
from trials.kernels.structure.neighbours import nearest_neighbours


def directions(*, clustered, n=400, d=32):
    rng = np.random.default_rng(0)
    own = rng.standard_normal((n, d))
    middles = rng.standard_normal((n // 10, d))
    return (own + clustered * 2 * np.repeat(middles, 10, axis=0)).astype(np.float32)


def test_a_ring_and_a_clique_have_their_known_coefficients():
    ring = np.stack([(np.arange(9) + 1) % 9, (np.arange(9) - 1) % 9], axis=1)
    assert clustering_coefficient(ring) == 0
    clique = np.array([[j for j in range(5) if j != i] for i in range(5)])
    assert clustering_coefficient(clique) == 1
    wide = np.stack([(np.arange(20) + s) % 20 for s in (1, 2, -1, -2)], axis=1)
    assert clustering_coefficient(wide) == pytest.approx(0.5)  # of a ring lattice of 4 neighbours


def test_clusters_raise_both_statistics_above_directions_of_the_same_second_moments():
    rng = np.random.default_rng(1)
    for clustered in (True, False):
        found = directions(clustered=clustered)
        (reference,) = like_directions(found, 1, rng)
        graph = [
            clustering_coefficient(nearest_neighbours(of, 8, absolute=True))
            for of in (found, reference)
        ]
        near = hopkins(found, reference, rng)
        if clustered:
            assert graph[0] > graph[1] + 0.2
            assert near > 0.6
        else:
            assert graph[0] == pytest.approx(graph[1], abs=0.03)
            assert near == pytest.approx(0.5, abs=0.03)


def test_reference_directions_have_unit_length_and_the_second_moments_of_the_sample():
    rng = np.random.default_rng(2)
    spread = np.linspace(2, 0.5, 64)
    found = (rng.standard_normal((150, 64)) * spread).astype(np.float32)
    (drawn,) = like_directions(found, 1, rng)
    assert np.allclose(np.linalg.norm(drawn, axis=1), 1, atol=1e-5)
    unit = found / np.linalg.norm(found, axis=1, keepdims=True)
    moments = [np.linalg.eigvalsh(of.T @ of)[::-1][:20] for of in (unit, drawn)]
    assert moments[1] == pytest.approx(moments[0], rel=0.03)
