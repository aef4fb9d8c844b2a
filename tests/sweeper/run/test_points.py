from __future__ import annotations

import itertools
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sweeper.declare.space import Choice, Dimension, FloatRange, IntRange
from sweeper.run.search.points import Points


@given(
    space=st.dictionaries(
        st.sampled_from("abc"),
        st.one_of(
            st.lists(st.text(max_size=2), min_size=1, max_size=4, unique=True).map(
                lambda values: Choice(values=tuple(values))
            ),
            st.integers(1, 9).map(lambda high: IntRange(low=1, high=high, log=high % 2 == 0)),
            st.floats(-1, 1).map(lambda value: FloatRange(low=value, high=value)),
        ),
        min_size=1,
    ),
    seed=st.integers(0, 9),
)
def test_a_finite_space_is_exhausted_point_by_point(space: dict[str, Dimension], seed: int) -> None:
    points, rng = Points(space), np.random.default_rng(seed)
    every = list(itertools.product(*(dimension.every() or () for dimension in space.values())))
    assert points.size == len(every)
    found = []
    while (point := points.visit_another(rng)) is not None:
        assert point in points
        assert not points.visit(point)
        found.append(tuple(point[name] for name in space))
    assert sorted(map(repr, found)) == sorted(map(repr, every))
    assert points.all_visited


def test_a_continuum_has_no_end_and_its_own_points_only() -> None:
    points = Points({"x": FloatRange(low=0.0, high=1.0), "n": IntRange(low=2, high=8, step=3)})
    assert math.isinf(points.size)
    assert {"x": 0.5, "n": 5} in points
    for foreign in ({"x": 1.5, "n": 5}, {"x": 0.5, "n": 4}, {"x": 0.5}, {"x": 0.5, "n": 5, "m": 1}):
        assert foreign not in points
    sliver = Points({"x": FloatRange(low=0.0, high=5e-324)})
    rng = np.random.default_rng(0)
    assert len(list(iter(lambda: sliver.visit_another(rng), None))) <= 2
