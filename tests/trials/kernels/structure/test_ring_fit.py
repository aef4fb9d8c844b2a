"""Rings in small clouds, and what only looks like one: clusters, arcs, heavy tails."""

import numpy as np
import pytest

from trials.inputs.controls.planted import planted_ring
from trials.kernels.structure import is_ring, ring_fit, ring_null

N = 30


def cloud(rng, n=N):
    return rng.standard_normal((n, 200)) * np.arange(1, 201) ** -0.25


@pytest.fixture(scope="module")
def null():
    return ring_null(N, n_components=3, n_draws=5000, rng=np.random.default_rng(7))


def found(points, null, rng, level=0.0025):
    fit = ring_fit(points, n_components=3)
    return (null >= fit.score).mean() < level and is_ring(fit, rng)


@pytest.mark.parametrize(("n_on_ring", "least"), [(30, 0.8), (12, 0.5)])
def test_a_planted_ring_of_all_or_some_points_is_found(n_on_ring, least, null):
    rng = np.random.default_rng(0)
    hits = [
        found(planted_ring(cloud(rng), n_on_ring, share=0.4, rng=rng), null, rng) for _ in range(25)
    ]
    assert np.mean(hits) >= least


def test_the_null_is_that_of_any_covariance(null):
    rng = np.random.default_rng(1)
    scales = rng.exponential(size=(300, 1, 40)) ** 2
    scores = [ring_fit(x, n_components=3).score for x in scales * rng.standard_normal((300, N, 40))]
    p = 1 - np.searchsorted(null, scores) / len(null)
    assert (p <= 0.05).mean() == pytest.approx(0.05, abs=0.04)
    assert p.mean() == pytest.approx(0.5, abs=0.06)


def heavy(rng):
    return (
        rng.exponential(size=(N, 1)) * rng.standard_normal((N, 200)) @ np.diag(np.arange(200) < 8)
    )


def clusters(rng):
    n = rng.integers(2, 6)
    return 2 * rng.standard_normal((n, 200))[rng.integers(n, size=N)]


def half_ring(rng):
    angle = rng.uniform(0, np.pi, N)
    return 2 * np.stack([np.cos(angle), np.sin(angle)], axis=1) @ rng.standard_normal((2, 200))


@pytest.mark.parametrize("shape", [cloud, heavy, clusters, half_ring])
def test_clusters_arcs_and_heavy_tails_are_no_ring(shape, null):
    rng = np.random.default_rng(2)
    hits = [found(shape(rng) + 0.3 * cloud(rng), null, rng) for _ in range(20)]
    assert np.mean(hits) <= 0.1


def test_a_perfect_ring_has_radius_root_two_and_too_few_points_are_refused():
    angle = 2 * np.pi * np.arange(12) / 12
    fit = ring_fit(np.stack([np.cos(angle), np.sin(angle)], axis=1), n_components=2)
    assert np.allclose(np.linalg.norm(fit.plane, axis=1), np.sqrt(2))
    assert fit.score > 5
    with pytest.raises(ValueError, match="takes 5"):
        ring_fit(np.eye(4), n_components=3)
