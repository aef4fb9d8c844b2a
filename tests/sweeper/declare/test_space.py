import math

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from sweeper.declare.space import (
    MAX_INT,
    Choice,
    Dimension,
    FloatRange,
    IntRange,
)

finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(min_value=1e-300, max_value=1e300)
integers = st.integers(-MAX_INT, MAX_INT)
scalars = st.none() | st.booleans() | st.integers() | finite | st.text()


def accepted(make: type, **fields: object) -> Dimension:
    """The dimension, or an example that hypothesis need not count."""
    try:
        return make(**fields)
    except ValidationError:
        assume(False)
        raise


@st.composite
def float_ranges(draw: st.DrawFn) -> FloatRange:
    log = draw(st.booleans())
    low, high = sorted(draw(st.tuples(positive, positive) if log else st.tuples(finite, finite)))
    return accepted(FloatRange, low=low, high=high, log=log, points=draw(st.integers(2, 60)))


@st.composite
def int_ranges(draw: st.DrawFn) -> IntRange:
    spacing = draw(st.sampled_from(["step", "points", "log"]))
    if spacing == "step":
        low, step = draw(integers), draw(st.integers(1, 1000))
        return accepted(IntRange, low=low, high=low + step * draw(st.integers(0, 60)), step=step)
    some = st.integers(1, MAX_INT) if spacing == "log" else integers
    low, high = sorted(draw(st.tuples(some, some)))
    points = draw(st.integers(2, 60))
    return accepted(IntRange, low=low, high=high, log=spacing == "log", points=points)


choices = (
    st.lists(scalars, min_size=1, max_size=9, unique_by=lambda v: (isinstance(v, bool), v))
    .map(tuple)
    .map(lambda values: Choice(values=values))
)
dimensions = st.one_of(choices, int_ranges(), float_ranges())


def bits(value: float) -> tuple[type, str]:
    return type(value), value.hex() if isinstance(value, float) else str(value)


@given(st.one_of(int_ranges(), float_ranges()))
@example(FloatRange(low=-1.7e308, high=1.7e308, points=7))
@example(FloatRange(low=5e-324, high=1.7e308, log=True, points=7))
@example(IntRange(low=1, high=MAX_INT, log=True, points=50))
def test_a_grid_starts_and_ends_on_the_bounds_bit_for_bit(dimension: IntRange | FloatRange) -> None:
    grid = dimension.grid()
    assert (bits(grid[0]), bits(grid[-1])) == (bits(dimension.low), bits(dimension.high))
    assert dimension.ends() == (dimension.low, dimension.high)


@given(st.one_of(int_ranges(), float_ranges()))
def test_a_grid_rises_strictly(dimension: IntRange | FloatRange) -> None:
    grid = list(dimension.grid())
    assert grid == sorted(set(grid))


@given(dimensions)
def test_a_grid_has_its_size_and_lies_in_the_dimension(dimension: Dimension) -> None:
    assert len(dimension.grid()) == dimension.grid_size
    assert all(dimension.contains(value) for value in dimension.grid())
    assert all(dimension.contains(value) for value in dimension.ends())


@given(dimensions, st.integers(0, 2**32))
@example(FloatRange(low=-1.7e308, high=1.7e308), 0)
def test_a_sample_lies_in_the_dimension_and_repeats_with_its_seed(
    dimension: Dimension, seed: int
) -> None:
    first = [dimension.sample(rng) for rng in [np.random.default_rng(seed)] for _ in range(5)]
    again = [dimension.sample(rng) for rng in [np.random.default_rng(seed)] for _ in range(5)]
    assert all(dimension.contains(value) for value in first)
    assert [bits(v) for v in first if isinstance(v, float)] == [
        bits(v) for v in again if isinstance(v, float)
    ]
    assert first == again


@given(dimensions)
def test_a_dimension_survives_a_round_trip_through_json(dimension: Dimension) -> None:
    again = type(dimension).model_validate_json(dimension.model_dump_json())
    assert list(map(repr, again.ends())) == list(map(repr, dimension.ends()))
    assert list(map(repr, again.grid())) == list(map(repr, dimension.grid()))


@pytest.mark.parametrize(
    "dimension",
    [IntRange(low=3, high=5), IntRange(low=2, high=8, step=3), IntRange(low=1, high=3, log=True)],
)
def test_random_draws_reach_both_ends_of_an_integer_range(dimension: IntRange) -> None:
    rng = np.random.default_rng(0)
    drawn = {dimension.sample(rng) for _ in range(200)}
    assert {dimension.low, dimension.high} <= drawn


def test_log_draws_are_uniform_in_the_logarithm() -> None:
    dimension, rng = FloatRange(low=1e-4, high=1.0, log=True), np.random.default_rng(0)
    logs = [math.log10(dimension.sample(rng)) for _ in range(4000)]
    counts, _ = np.histogram(logs, bins=4, range=(-4, 0))
    # each decade expects 1000 draws with standard deviation 27
    assert all(abs(count - 1000) < 140 for count in counts)


@pytest.mark.parametrize(
    ("dimension", "expected"),
    [
        (FloatRange(low=0.001, high=1, log=True, points=4), [0.001, 0.01, 0.1, 1.0]),
        (FloatRange(low=0, high=1, points=11), [i / 10 for i in range(11)]),
        (FloatRange(low=-0.3, high=0.3, points=3), [-0.3, 0.0, 0.3]),
        (FloatRange(low=0.2, high=0.2), [0.2]),
        (FloatRange(low=0.2, high=0.2, points=5), [0.2]),
        (IntRange(low=1, high=7, step=2), [1, 3, 5, 7]),
        (IntRange(low=1, high=3), [1, 2, 3]),
        (IntRange(low=4, high=4, log=True), [4]),
        (IntRange(low=1, high=64, log=True, points=7), [1, 2, 4, 8, 16, 32, 64]),
        (IntRange(low=0, high=10, points=4), [0, 3, 7, 10]),
        (IntRange(low=1, high=10, log=True, points=10), [1, 2, 3, 4, 5, 6, 8, 10]),
        (Choice(values=("2x", 3, None, True)), ["2x", 3, None, True]),
    ],
)
def test_a_grid_visits_these_points(dimension: Dimension, expected: list[object]) -> None:
    assert list(dimension.grid()) == expected
    assert list(map(type, dimension.grid())) == list(map(type, expected))


def test_a_wide_integer_range_is_not_enumerated() -> None:
    dimension = IntRange(low=-(2**52), high=2**52)
    assert dimension.grid_size == 2**53 + 1
    assert dimension.grid()[10**12] == 10**12 - 2**52


def test_true_and_one_are_different_choices() -> None:
    choice = Choice(values=(True, 0))
    assert choice.contains(True)
    assert not choice.contains(1)
    assert not choice.contains(False)
    assert not IntRange(low=0, high=1).contains(True)
    assert not FloatRange(low=0, high=1).contains(True)


def test_a_step_decides_what_an_integer_range_holds() -> None:
    dimension = IntRange(low=1, high=7, step=2)
    assert [v for v in range(-1, 10) if dimension.contains(v)] == [1, 3, 5, 7]
    assert not dimension.contains(3.0)
