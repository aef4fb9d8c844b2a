"""Curves read between their points, against the functions that they are points of."""

from __future__ import annotations

import math

import numpy as np
import pytest

from trials.kernels.statistics.curves import read_curve


def test_a_power_law_is_read_exactly() -> None:
    x = [1.0, 3.0, 10.0, 40.0]
    y = [2 * value**-0.7 for value in x]
    for at in (1.0, 2.0, 25.0, 40.0):
        assert read_curve(x, y, at) == pytest.approx(2 * at**-0.7)


def test_what_can_be_negative_is_read_along_the_logarithm_of_x() -> None:
    assert read_curve([1.0, 100.0], [-4.0, 4.0], 10.0, log_y=False) == pytest.approx(0.0)


@pytest.mark.parametrize("at", [0.99, 40.1, 0.0, -1.0])
def test_nothing_is_extrapolated(at: float) -> None:
    assert math.isnan(read_curve([1.0, 40.0], [1.0, 2.0], at))


def test_points_come_in_any_order_and_repeats_are_averaged() -> None:
    assert read_curve([8.0, 2.0, 8.0], [3.0, 1.0, 5.0], 8.0, log_y=False) == pytest.approx(4.0)


def test_points_without_a_place_on_the_axes_are_left_out() -> None:
    x, y = [0.0, 2.0, 4.0, math.nan, 8.0], [1.0, 0.5, math.nan, 0.1, 0.125]
    assert read_curve(x, y, 4.0) == pytest.approx(0.25)
    assert math.isnan(read_curve([0.0, math.nan], [1.0, 1.0], 1.0))


def test_the_ends_of_a_curve_belong_to_it() -> None:
    for end in np.random.default_rng(0).uniform(1, 1e4, 200):
        assert read_curve([float(end)], [0.3], float(end)) == pytest.approx(0.3)
