"""The longest-lived loop of small clouds."""

import numpy as np
import pytest

from trials.kernels.structure.loops import loop_persistence


def test_a_regular_polygon_has_a_loop_that_is_born_with_its_sides():
    angle = 2 * np.pi * np.arange(12) / 12
    polygon = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    side, triangle = 2 * np.sin(np.pi / 12), np.sqrt(3)
    assert loop_persistence(polygon, n_components=2) == pytest.approx(triangle / side, rel=1e-5)


def test_points_in_a_row_have_no_loop():
    line = np.arange(8.0)[:, None] * np.array([1.0, 0, 0])
    assert loop_persistence(line, n_components=1) == 1
