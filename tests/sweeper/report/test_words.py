import doctest

import pytest

from sweeper.report import words
from sweeper.report.words import natural, number


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(words).attempted > 0
    assert doctest.testmod(words).failed == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0"),
        (-0.5, "-0.5"),
        (999.96, "1000"),
        (49152.0, "49,152"),
        (5e9, "5e+09"),
        (-2e-5, "-2e-05"),
        (float("inf"), "∞"),
        (float("-inf"), "-∞"),
    ],
)
def test_numbers_have_four_digits(value: float | None, text: str) -> None:
    assert number(value) == text


def test_sizes_sort_as_numbers_and_missing_ones_last() -> None:
    given = ["10x", None, "all", 512, "2x", 0.5, "1e-05"]
    assert sorted(given, key=natural) == ["1e-05", 0.5, "2x", "10x", 512, "all", None]
