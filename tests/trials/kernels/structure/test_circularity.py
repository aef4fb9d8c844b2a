"""Circles and everything that only looks like one: lines, arcs, walks, chains, noise."""

import numpy as np
import pytest

from trials.inputs.controls.planted import ordered_points
from trials.kernels.structure import circle_power, circularity, order_beyond

CLOSURE = 0.3


def tried(shape, n, d, share, *, times, seed=0, cut_anywhere=False):
    rng = np.random.default_rng(seed)
    return [
        circularity(
            ordered_points(
                shape,
                n,
                d,
                share=share,
                rng=rng,
                cut=int(rng.integers(n)) if cut_anywhere else 0,
                jitter=0.3 if cut_anywhere else 0.0,
            ),
            np.arange(n),
            n,
            n_permutations=199,
            rng=rng,
        )
        for _ in range(times)
    ]


def test_a_circle_of_a_fifth_of_the_variance_is_found_and_closed():
    found = tried("circle", 12, 64, 0.2, times=30)
    assert np.mean([one.p < 0.01 for one in found]) > 0.9
    found = tried("circle", 12, 576, 0.2, times=30)
    assert all(one.p < 0.01 and one.circulant_share > 0.6 for one in found)
    assert np.mean([one.closure > CLOSURE for one in found]) > 0.9
    assert np.mean([one.wrap_gap for one in found]) == pytest.approx(1, abs=0.05)


def test_the_closure_of_a_perfect_circle_is_one_at_every_cut():
    (found,) = tried("circle", 12, 64, 1.0, times=1)
    assert found.closure == pytest.approx(1)


@pytest.mark.parametrize("shape", ["line", "arc", "walk", "chain"])
@pytest.mark.parametrize("n", [7, 10, 12, 26])
def test_what_is_open_anywhere_is_not_closed(shape, n):
    found = tried(shape, n, 64, 0.5, times=40, cut_anywhere=True)
    closed = [one.closure > CLOSURE for one in found]
    assert np.mean(closed) < 0.1
    if shape in ("line", "arc"):
        assert not any(closed)


def test_the_answer_does_not_depend_on_the_label_that_the_list_begins_with():
    rng = np.random.default_rng(0)
    points = ordered_points("arc", 12, 64, share=0.5, rng=rng)
    closures = [
        circularity(
            np.roll(points, cut, axis=0), np.arange(12), 12, n_permutations=99, rng=rng
        ).closure
        for cut in range(12)
    ]
    assert np.allclose(closures, closures[0])


def test_a_line_from_the_first_label_to_the_last_is_a_curve():
    found = tried("line", 12, 64, 0.5, times=40)
    assert all(one.curve_share > one.fourier_share and one.closure < 0 for one in found)
    assert np.mean([one.p_curve <= 0.05 for one in found]) > 0.9


def power(share, n=12, d=576):
    rng = np.random.default_rng(0)
    return circle_power(
        rng.standard_normal((60, n, d)),
        np.arange(n),
        n,
        share=share,
        level=0.05,
        least_closure=CLOSURE,
        n_permutations=199,
        rng=rng,
    )


def test_the_power_grows_with_the_share_and_with_the_dimensions():
    assert power(0.2) > 0.85
    assert power(0.0001) < 0.1
    assert power(0.2, d=20) < power(0.5, d=20)
    assert power(0.2, d=20) < power(0.2)


def test_an_order_that_the_other_points_share_is_not_beyond_them():
    rng = np.random.default_rng(0)
    angle = 2 * np.pi * np.arange(12) / 12
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    noise = 0.2 * rng.standard_normal((3, 12, 20))
    first, second = (np.hstack([circle, one]) for one in noise[:2])
    given = (np.arange(12), 12)
    assert order_beyond(first, noise[2], *given, n_permutations=499, rng=rng) < 0.01
    assert order_beyond(circle, circle, *given, n_permutations=499, rng=rng) > 0.05
    alike = [
        order_beyond(first, second, *given, n_permutations=99, rng=rng),
        order_beyond(noise[0], second, *given, n_permutations=99, rng=rng),
    ]
    assert max(alike) > 0.05


def test_without_order_p_is_uniform():
    p = np.array([one.p for one in tried("none", 12, 64, 0.0, times=120)])
    assert (p <= 0.05).mean() <= 0.1
    assert 0.4 < p.mean() < 0.6


def test_all_orders_of_a_week_are_tried_so_that_the_least_p_is_one_in_360():
    rng = np.random.default_rng(0)
    (found,) = tried("circle", 7, 64, 0.9, times=1)
    assert found.exact
    assert found.p == pytest.approx(14 / 5040)  # seven rotations, both ways round
    many = circularity(rng.standard_normal((9, 4)), np.arange(9), 9, n_permutations=99, rng=rng)
    assert not many.exact
    assert many.p >= 0.01


def test_the_spectrum_of_evenly_placed_points_sums_to_one_and_names_the_frequency():
    rng = np.random.default_rng(0)
    angle = 2 * np.pi * 3 * np.arange(12) / 12
    wave = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    rows = np.hstack([wave, 0.1 * rng.standard_normal((12, 6))])
    found = circularity(rows, np.arange(12), 12, n_permutations=99, rng=rng)
    assert found.spectrum.sum() == pytest.approx(1)
    assert np.argmax(found.spectrum) == 2
    assert found.fourier_share == pytest.approx(found.spectrum[0])


def test_a_place_without_its_point_leaves_the_others_where_they_are():
    angle = 2 * np.pi * np.arange(12) / 12
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    there = np.array([0, 1, 2, 3, 5, 6, 8, 9, 10, 11])
    rng = np.random.default_rng(0)
    found = circularity(circle[there], there, 12, n_permutations=199, rng=rng)
    assert found.fourier_share == pytest.approx(1)
    assert found.circulant_share > 0.95
    assert found.wrap_gap == pytest.approx(1)


@pytest.mark.parametrize(
    ("n", "places", "period"), [(3, [0, 1, 2], 3), (4, [0, 1, 1, 2], 4), (4, [0, 1, 2, 4], 4)]
)
def test_places_that_are_no_order_are_refused(n, places, period):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="places"):
        circularity(np.eye(n), np.array(places), period, n_permutations=99, rng=rng)
