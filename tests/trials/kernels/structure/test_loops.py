"""Loops in small clouds, beside the Gaussian clouds of the same covariance."""

import numpy as np
import pytest

from trials.kernels.statistics.significance import permutation_p_value, pooled_p_values
from trials.kernels.structure.loops import loop_score, loops


def cloud(rng, *, circle, n=30, d=100, share=0.4):
    angle = rng.uniform(0, 2 * np.pi, n)
    plane = np.linalg.qr(rng.standard_normal((d, 2)))[0].T
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1) @ plane
    noise = rng.standard_normal((n, d)) / np.sqrt(d)
    return np.sqrt(share) * ring + np.sqrt(1 - share) * noise if circle else noise


def test_a_ring_outlives_its_null_and_a_cloud_does_not():
    rng = np.random.default_rng(0)
    p = {
        circle: np.array(
            [
                permutation_p_value(found.persistence, found.null)
                for found in (
                    loops(cloud(rng, circle=circle), n_components=3, n_null=39, rng=rng)
                    for _ in range(20)
                )
            ]
        )
        for circle in (True, False)
    }
    assert (p[True] <= 0.05).mean() > 0.8
    assert (p[False] <= 0.05).mean() < 0.2
    assert 0.3 < p[False].mean() < 0.7


def test_the_null_has_exactly_the_covariance_of_the_cloud():
    rng = np.random.default_rng(0)
    found = loops(cloud(rng, circle=True), n_components=3, n_null=9, rng=rng)
    gram = found.scores.T @ found.scores
    assert np.allclose(gram, np.diag(np.diag(gram)), atol=1e-9)
    assert found.null.shape == (9,)
    assert (found.null >= 1).all()


def test_points_in_a_row_have_no_loop():
    rng = np.random.default_rng(0)
    line = np.arange(8.0)[:, None] * np.ones((1, 3))
    line[:, 1] = line[:, 2] = 0
    found = loops(line, n_components=1, n_null=0, rng=rng)
    assert found.persistence == 1
    assert np.isfinite(loop_score(np.array(found.persistence)))
    with pytest.raises(ValueError, match="takes 5"):
        loops(line[:4], n_components=3, n_null=0, rng=rng)


def test_pooled_p_values_are_uniform_under_the_null_and_finer_than_one_set_of_draws():
    rng = np.random.default_rng(0)
    place, spread = rng.standard_normal(400), rng.uniform(0.5, 3, 400)
    values = place[:, None] + spread[:, None] * rng.gumbel(size=(400, 20))
    p = pooled_p_values(values[:, 0], values[:, 1:])
    assert (p <= 0.05).mean() == pytest.approx(0.05, abs=0.03)
    assert p.mean() == pytest.approx(0.5, abs=0.05)
    values[0, 0] = place[0] + 30 * spread[0]
    assert pooled_p_values(values[:, 0], values[:, 1:])[0] == pytest.approx(1 / (1 + 400 * 19))
    with pytest.raises(ValueError, match="at least 3"):
        pooled_p_values(values[:, 0], values[:, 1:3])
