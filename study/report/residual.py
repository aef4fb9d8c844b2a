"""Is what is left over noise? The residuals of the rows vs. those of a null."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from study.report.null_comparison import (
    DIGITS,
    NullComparison,
    Reading,
    Value,
    by_seed,
    compare_with_nulls,
    interval,
    metric_of,
    most_conservative,
)
from study.report.section import Section, comparison_grid, notes
from study.report.trial_groups import TrialFiles, TrialGroup, group_trials
from sweeper.records import TrialRow
from sweeper.report.contrast import spread
from sweeper.report.tables import Grid
from sweeper.report.words import number, plural
from trials.api import TrialKind

_TESTS = {
    "r2_residual_held_out": ("l0_held_out", "share of the residual that the row predicts (r2)", 1),
    "participation_ratio_held_out": ("l0_held_out", "dimensions that residuals fill", -1),
    "subspace_overlap_held_out": ("l0_held_out", "overlap of two dictionaries' residuals", 1),
    "second_fvu_held_out": ("second_l0_held_out", "error of a second dictionary (FVU)", -1),
    "r2_length_held_out": (
        "l0_held_out",
        "share of the residual's length that the row predicts (r2)",
        1,
    ),
    "purity_excess_held_out": ("l0_held_out", "labels that neighbouring residuals share", 1),
}
"""Metric -> where real and null are compared, its name, and the sign that means structure."""
_REPLACEMENTS = {
    "reconstruction": "reconstruction",
    "random": "row and a random direction",
    "shuffled": "another's code and residual",
    "mean": "mean row",
}
_SIDES = {"input": "read", "output": "predicted", "both": "on both sides"}


def describe_residual(
    rows: Sequence[TrialRow], kind: TrialKind, files: TrialFiles, sweep: str
) -> Iterator[Section]:
    """One section per matrix and setting; penalties are averaged, real vs. null at equal l0."""
    for group in group_trials(rows, kind, over=("l1_penalty",)):
        tests = _compared(group, kind, _TESTS)
        sentence, *more = _sentences(tests)
        cost, costs = _costs(group)
        chance = spread(map(metric_of("subspace_chance"), group.real))
        yield Section(
            group.title,
            sentence,
            [*more, f"{cost}."],
            [
                comparison_grid([b for bs in tests for b in bs]),
                *costs,
            ],
            notes=[
                *notes(group, sweep),
                "Real minus null at equal atoms per token, interpolated on the null's curve over "
                "penalties. Structure means that more is predictable, fewer dimensions, more "
                f"overlap, less error. Overlap by chance: {number(chance.mean, DIGITS)}.",
            ],
        )


def _compared(
    group: TrialGroup, kind: TrialKind, wanted: Mapping[str, tuple[str, str, int]]
) -> list[list[NullComparison]]:
    assert kind.control is not None
    return [
        compare_with_nulls(group, words, metric, sign=sign, at=(at, kind.control))
        for metric, (at, words, sign) in wanted.items()
    ]


def _sentences(tests: Sequence[list[NullComparison]]) -> list[str]:
    """How many tests show that the residual is not noise; then the tests by what they show."""
    found = [most_conservative(comparisons) for comparisons in tests]
    by_reading = {reading: [b for b in found if b.reading is reading] for reading in Reading}
    beyond, unknown = by_reading[Reading.BEYOND], by_reading.pop(Reading.UNKNOWN)
    n_tests = plural(len(found) - len(unknown), "test")
    reasons = {b.certainty for b in unknown}
    if len(unknown) == len(found):
        return [f"Not identified: {reasons.pop() if len(reasons) == 1 else _listed(unknown)}."]
    if beyond:
        del by_reading[Reading.BEYOND]
        sentences = [
            f"Not noise by {len(beyond)} of {n_tests}, beyond the null: {_listed(beyond)}."
        ]
    else:
        sentences = [f"Nothing beyond the null in {n_tests}."]
    words = {
        Reading.NOT_BEYOND: "Not beyond the null",
        Reading.SHORT: "Further from structure than the null",
        Reading.UNKNOWN: "Not identified",
    }
    by_reading[Reading.UNKNOWN] = unknown
    return sentences + [
        f"{words[reading]}: {_listed(members)}."
        for reading, members in by_reading.items()
        if members
    ]


def _listed(members: Sequence[NullComparison]) -> str:
    return "; ".join(f"{b.name}, {b.certainty}" for b in members)


def _costs(group: TrialGroup) -> tuple[str, list[Grid]]:
    """What the model loses when other rows replace its own, by the side that uses them."""

    def cost(side: str, replacement: str) -> Value:
        return metric_of(f"cost_{side}_{replacement}_held_out")

    body, sentences = [], "What the residual is worth to the model was not measured"
    for side, where in _SIDES.items():
        by_replacement = {
            replacement: by_seed(group.real, cost(side, replacement))
            for replacement in _REPLACEMENTS
        }
        ours, random = by_replacement["reconstruction"], by_replacement["random"]
        less = spread(ours[seed] - random[seed] for seed in ours.keys() & random.keys())
        if not ours:
            continue
        body.append(
            [
                where,
                *(
                    interval(spread(by_replacement[replacement].values()))
                    for replacement in _REPLACEMENTS
                ),
                interval(less),
            ]
        )
        sentences = (
            f"With reconstructions {where} the model loses {interval(spread(ours.values()))} nats "
            f"per token, with a random error of the same length "
            f"{number(spread(random.values()).mean, DIGITS)}: "
            f"{_worth(less.low, less.high)}"
        )
    columns = ["rows replaced where", *_REPLACEMENTS.values(), "reconstruction minus random"]
    title = "What the model loses (nats per token, held-out text) when other rows replace its own"
    return sentences, [Grid(columns, body, title=title)] if body else []


def _worth(low: float, high: float) -> str:
    if not math.isfinite(low):
        return "one seed, so which costs more is not identified"
    if low > 0:
        return "the residual is worth more than noise of its length"
    return "it is worth less" if high < 0 else "the difference is not beyond chance"
