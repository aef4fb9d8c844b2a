from __future__ import annotations

import math

import pytest

from study.report.null_comparison import Beside, Reading, hardest, interval
from sweeper.report.contrast import spread

NAN = math.nan


def beside(values: list[float], sign: int = 1, name: str = "null") -> Beside:
    return Beside("x", name, spread(values), spread(values), spread(values), sign)


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
    assert beside(values, sign).reading is reading


def test_what_is_claimed_holds_beside_every_null() -> None:
    far, near, alone = beside([5.0, 5.1]), beside([0.1, -0.1]), beside([9.0])
    assert hardest([far, near]) is near
    assert hardest([far, near, alone]) is alone


def test_one_seed_has_no_interval_and_says_so() -> None:
    assert interval(spread([0.25])) == "0.25"
    assert beside([0.25]).certainty == "difference 0.25, one seed, hence no interval"
    assert interval(spread([])) == "–"
