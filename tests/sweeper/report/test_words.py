import doctest
from dataclasses import replace

import pytest

from sweeper.report import words
from sweeper.report.words import comparison_heading, metric_heading, natural, number
from trials.api import Comparison, Metric


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


def test_a_comparison_is_named_by_titles_without_what_both_share(kind) -> None:
    titles = {
        "loss": "held-out error (FVU, greedy codes)",
        "l0": "held-out atoms per token (L0)",
        "bits": "bits per token",
    }
    titled = replace(
        kind, metrics=tuple(replace(m, title=titles.get(m.name, "")) for m in kind.metrics)
    )
    single, best = Comparison("loss", at="l0"), Comparison("loss", at="l0", across=("size",))
    assert comparison_heading(single, titled) == (
        "error (FVU, greedy codes) at equal atoms per token (L0)"
    )
    assert comparison_heading(best, titled) == "best error (FVU) at equal atoms per token (L0)"
    other = Comparison("loss", at="bits", across=("size",))
    assert comparison_heading(other, titled) == "best held-out error (FVU) at equal bits per token"
    assert comparison_heading(single, kind) == "loss at equal l0"


def test_a_heading_has_the_unit_unless_its_title_has_it() -> None:
    assert metric_heading(Metric("loss", "nats", "minimise", "", title="held-out loss")) == (
        "held-out loss (nats)"
    )
    assert metric_heading(Metric("l0", "atoms", "none", "", title="atoms per token")) == (
        "atoms per token"
    )
    assert metric_heading(Metric("fvu", "frac", "minimise", "")) == "fvu"
