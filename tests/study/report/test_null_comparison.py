from __future__ import annotations

import math

import pytest

from study.report.null_comparison import NullComparison, Reading, interval, most_conservative
from sweeper.report.contrast import spread

NAN = math.nan


def comparison(values: list[float], sign: int = 1, name: str = "null") -> NullComparison:
    return NullComparison("x", name, spread(values), spread(values), spread(values), sign)


@pytest.mark.parametrize(
    ("values", "sign", "reading"),
    [
        ([1.0, 1.1, 1.2], 1, Reading.BEYOND),
        ([1.0, 1.1, 1.2], -1, Reading.SHORT),
        ([-1.0, -1.1, -1.2], -1, Reading.BEYOND),
        ([-1.0, 1.1, 0.2], 1, Reading.NOT_BEYOND),
        ([0.0, 0.0], 1, Reading.NOT_BEYOND),
        ([2.0, 2.0], 1, Reading.BEYOND),
        ([7.0], 1, Reading.UNKNOWN),
        ([NAN, NAN, 7.0], 1, Reading.UNKNOWN),
        ([], 1, Reading.UNKNOWN),
    ],
)
def test_a_reading_takes_an_interval(values: list[float], sign: int, reading: Reading) -> None:
    assert comparison(values, sign).reading is reading


def test_what_is_claimed_holds_beside_every_null() -> None:
    far, near, alone = comparison([5.0, 5.1]), comparison([0.1, -0.1]), comparison([9.0])
    assert most_conservative([far, near]) is near
    assert most_conservative([far, near, alone]) is alone


def test_one_seed_has_no_interval_and_says_so() -> None:
    assert interval(spread([0.25])) == "0.25"
    assert comparison([0.25]).certainty == "difference 0.25, one seed, so no interval"
    assert interval(spread([])) == "–"
