"""Is what is left over noise? What codes leave of the rows beside what they leave of a null's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from study.report.null_comparison import (
    DIGITS,
    Beside,
    Reading,
    Value,
    beside_nulls,
    by_seed,
    hardest,
    interval,
    metric_of,
)
from study.report.section import Grid, Telling, comparison_grid, notes
from study.report.trial_groups import Files, Studied, studied
from sweeper.records import TrialRow
from sweeper.report.contrast import spread
from sweeper.report.words import number, plural
from trials.api import TrialKind

_TESTS = {
    "r2_residual_held_out": ("l0_held_out", "share of the residual that the row foretells (r2)", 1),
    "participation_ratio_held_out": ("l0_held_out", "dimensions that residuals fill", -1),
    "subspace_overlap_held_out": ("l0_held_out", "overlap of two dictionaries' residuals", 1),
    "second_fvu_held_out": ("second_l0_held_out", "error of a second dictionary (FVU)", -1),
    "r2_length_held_out": ("l0_held_out", "share of the residual's length foretold (r2)", 1),
    "purity_excess_held_out": ("l0_held_out", "labels that near residuals share", 1),
}
"""Metric -> where real and null are compared, its name, and the sign that structure gives it."""
_ARMS = {
    "reconstruction": "reconstruction",
    "random": "row and a random direction",
    "shuffled": "another's code and residual",
    "mean": "mean row",
}
_SIDES = {"input": "read", "output": "predicted", "both": "on both sides"}


def tell_residual(
    rows: Sequence[TrialRow], kind: TrialKind, files: Files, sweep: str
) -> Iterator[Telling]:
    """One telling a matrix and setting; penalties are averaged, real and null at equal l0."""
    for one in studied(rows, kind, over=("l1_penalty",)):
        tests = _compared(one, kind, _TESTS)
        sentence, *more = _sentences(tests)
        cost, costs = _costs(one)
        chance = spread(map(metric_of("subspace_chance"), one.real))
        yield Telling(
            one.title,
            sentence,
            [*more, f"{cost}."],
            [
                comparison_grid([b for bs in tests for b in bs]),
                *costs,
            ],
            notes=[
                *notes(one, sweep),
                "Real less null at equal atoms a token, read off the null's curve over penalties. "
                "Structure: more is foretold, fewer dimensions, more overlap, less error. "
                f"Overlap by chance: {number(chance.mean, DIGITS)}.",
            ],
        )


def _compared(
    one: Studied, kind: TrialKind, wanted: Mapping[str, tuple[str, str, int]]
) -> list[list[Beside]]:
    assert kind.control is not None
    return [
        beside_nulls(one, words, metric, sign=sign, at=(at, kind.control))
        for metric, (at, words, sign) in wanted.items()
    ]


def _sentences(tests: Sequence[list[Beside]]) -> list[str]:
    """By how many tests what is left is no noise; then, reading by reading, which they are."""
    found = [hardest(besides) for besides in tests]
    by_reading = {reading: [b for b in found if b.reading is reading] for reading in Reading}
    beyond, unknown = by_reading[Reading.BEYOND], by_reading.pop(Reading.UNKNOWN)
    n_tests = plural(len(found) - len(unknown), "test")
    reasons = {b.certainty for b in unknown}
    if len(unknown) == len(found):
        return [f"Not identified: {reasons.pop() if len(reasons) == 1 else _listed(unknown)}."]
    if beyond:
        del by_reading[Reading.BEYOND]
        told = [f"Not noise by {len(beyond)} of {n_tests}, beyond the null: {_listed(beyond)}."]
    else:
        told = [f"Nothing beyond the null in {n_tests}."]
    words = {
        Reading.NOT_BEYOND: "Not beyond the null",
        Reading.SHORT: "Further from structure than the null",
        Reading.UNKNOWN: "Not identified",
    }
    by_reading[Reading.UNKNOWN] = unknown
    return told + [
        f"{words[reading]}: {_listed(members)}."
        for reading, members in by_reading.items()
        if members
    ]


def _listed(members: Sequence[Beside]) -> str:
    return "; ".join(f"{b.name}, {b.certainty}" for b in members)


def _costs(one: Studied) -> tuple[str, list[Grid]]:
    """What the model loses with other rows in place of its own, by where they stand."""

    def cost(side: str, arm: str) -> Value:
        return metric_of(f"cost_{side}_{arm}_held_out")

    body, told = [], "What it is worth to the model was not measured"
    for side, where in _SIDES.items():
        arms = {arm: by_seed(one.real, cost(side, arm)) for arm in _ARMS}
        ours, random = arms["reconstruction"], arms["random"]
        less = spread(ours[seed] - random[seed] for seed in ours.keys() & random.keys())
        if not ours:
            continue
        body.append(
            [where, *(interval(spread(arms[arm].values())) for arm in _ARMS), interval(less)]
        )
        told = (
            f"With reconstructions {where} the model loses {interval(spread(ours.values()))} nats "
            f"a token, with as much random error {number(spread(random.values()).mean, DIGITS)}: "
            f"{_worth(less.low, less.high)}"
        )
    columns = ["rows replaced where", *_ARMS.values(), "reconstruction less random"]
    title = "What the model loses (nats a token, held-out text) with other rows in place of its own"
    return told, [Grid(columns, body, title)] if body else []


def _worth(low: float, high: float) -> str:
    if not math.isfinite(low):
        return "one seed, so which costs more is not identified"
    if low > 0:
        return "what is left is worth more than noise of its length"
    return "it is worth less" if high < 0 else "the difference is not beyond chance"
