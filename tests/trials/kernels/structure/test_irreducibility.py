"""A circle is neither a mixture nor a product of one-dimensional features."""

import numpy as np

from trials.kernels.structure.irreducibility import mixture_index, separability


def clouds(n=4000):
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, n)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    product = rng.standard_normal((n, 2)) @ np.array([[1.0, 0.4], [0.0, 1.0]])
    either = rng.exponential(size=(n, 2))
    either[np.arange(n), rng.integers(2, size=n)] = 0
    return circle + 0.02 * rng.standard_normal((n, 2)), product, either


def test_a_mixture_lies_on_a_line_and_a_circle_does_not():
    circle, product, either = map(mixture_index, clouds())
    assert circle < 0.25
    assert product < 0.15
    assert either > 0.45


def test_a_product_can_be_turned_into_independent_coordinates_and_a_circle_cannot():
    rng = np.random.default_rng(1)
    circle, product, either = (separability(points, rng) for points in clouds())
    assert circle > 1
    assert abs(product) < 0.03
    assert either > 0.1


def test_the_mixture_index_is_that_of_its_definition():
    rng = np.random.default_rng(2)
    points = rng.standard_normal((300, 2))
    points -= points.mean(axis=0)
    best = 0.0
    for angle in np.pi * np.arange(100) / 100:
        along = points @ np.array([np.cos(angle), np.sin(angle)])
        for c in -along:
            near = np.abs(along + c) < 0.1 * np.sqrt(((along + c) ** 2).mean())
            best = max(best, near.mean())
    assert abs(mixture_index(points) - best) < 1e-12
