"""A positive control is no null, and real trials lie between the two."""

from __future__ import annotations

import pytest

from sweeper.records import TrialRow, TrialState
from sweeper.report.contrast import contrasts, overall
from sweeper.report.html.placement import as_difference, placements
from sweeper.report.matched import matched_pairs
from sweeper.report.words import control_name, control_title, is_positive
from trials.api import Comparison, Control

ERROR = Comparison("error", at="size")
CONTROL = Control(
    "null",
    "none",
    (ERROR,),
    positive=("planted",),
    claim="structure",
    variants=("planted_size",),
)


def row(null: str, size: float, error: float, planted_size: str | None = None) -> TrialRow:
    return TrialRow(
        run_id=f"{null}{size}{planted_size}",
        sweep="s",
        submission="s",
        kind="toy",
        kind_version=1,
        key=f"{null}{size}",
        state=TrialState.COMPLETE,
        label="",
        params={"null": null, "planted_size": planted_size, "seed": 0},
        metrics={"size": size, "error": error},
        is_control=null != "none",
    )


def trials() -> list[TrialRow]:
    return [
        row("none", 2.0, 0.7),
        *(row("noise", size, 0.8) for size in (1.0, 3.0)),
        *(row("planted", size, 0.4, "1x") for size in (1.0, 3.0)),
        *(row("planted", size, 0.6, "2x") for size in (1.0, 3.0)),
    ]


def test_variants_of_a_control_are_compared_apart() -> None:
    found = {pair.null: pair.null_value for pair in matched_pairs(trials(), CONTROL, ERROR)}
    assert found == {
        "noise": pytest.approx(0.8),
        "planted 1x": pytest.approx(0.4),
        "planted 2x": pytest.approx(0.6),
    }


def test_real_is_placed_between_each_null_and_each_positive_control() -> None:
    placed = placements(matched_pairs(trials(), CONTROL, ERROR), CONTROL)
    shares = {one.null: one.effect.mean for one in overall(placed, as_difference(ERROR))}
    assert shares == {
        "noise (0) to planted 1x (1)": pytest.approx(0.25),
        "noise (0) to planted 2x (1)": pytest.approx(0.5),
    }
    assert len(contrasts(placed, as_difference(ERROR))) == 2


def test_outside_the_range_of_the_control_there_is_no_place() -> None:
    rows = [row("none", 5.0, 0.7), *trials()[1:]]
    (first, *_) = overall(
        placements(matched_pairs(rows, CONTROL, ERROR), CONTROL), as_difference(ERROR)
    )
    assert first.effect.n == 0


def test_a_positive_control_is_named_by_what_it_claims() -> None:
    name = control_name({"null": "planted", "planted_size": "2x"}, CONTROL)
    assert name == "planted 2x"
    assert is_positive(name, CONTROL)
    assert control_title(name, CONTROL) == "control: structure (planted 2x)"
    assert control_title("noise", CONTROL) == "null noise"
    assert not CONTROL.is_null("planted")
    assert not CONTROL.is_null("none")
    assert CONTROL.is_null("noise")
