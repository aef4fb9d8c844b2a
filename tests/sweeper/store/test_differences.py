import math

import pytest

from sweeper.store.differences import (
    differences,
    environment_differences,
    n_environment,
    same,
)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (1.0, 1.0, True),
        (1.0, math.nextafter(1.0, 2), False),
        (math.nan, math.nan, True),
        (math.nan, 0.0, False),
        (None, None, True),
        (None, math.nan, False),
        (math.inf, 1.7976931348623157e308, True),
        (math.inf, -math.inf, False),
    ],
)
def test_values_are_the_same_as_the_database_keeps_them(
    a: float | None, b: float | None, expected: bool
) -> None:
    assert same(a, b) is same(b, a) is expected


def test_every_name_of_either_side_is_compared_once() -> None:
    found = {d.name: d for d in differences({"x": 2.0, "y": 1.0}, {"x": 4.0, "z": math.nan})}
    assert list(found) == ["x", "y", "z"]
    assert (found["x"].absolute, found["x"].relative) == (2.0, 0.5)
    assert math.isnan(found["y"].absolute)
    assert not found["y"].within(rtol=1, atol=1)


def test_one_tolerance_is_enough_and_zero_means_bitwise() -> None:
    [near] = differences({"gap": 1e-12}, {"gap": 3e-12})
    assert near.within(rtol=0, atol=1e-9)
    assert not near.within(rtol=1e-6, atol=0)
    [close] = differences({"loss": 1000.0}, {"loss": 1000.0001})
    assert close.within(rtol=1e-6, atol=1e-9)
    assert not close.within(rtol=0, atol=0)
    [equal] = differences({"loss": 0.1}, {"loss": 0.1})
    assert equal.within(rtol=0, atol=0)


def test_packages_are_compared_one_by_one() -> None:
    before = {"python": "3.11", "packages": "numpy==2.0 scipy==1.15", "gpu": ""}
    after = {"python": "3.11", "packages": "numpy==2.1 scipy==1.15 torch==2.6"}
    assert list(environment_differences(before, after)) == [
        ("numpy", "2.0", "2.1"),
        ("torch", "", "2.6"),
    ]
    assert n_environment(before, after) == 5
