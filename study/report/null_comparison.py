"""Real vs. null over seeds, and the words for it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from study.report.trial_groups import TrialGroup
from sweeper.records import SEED, Scalar, TrialRow
from sweeper.report.contrast import Spread, overall, spread
from sweeper.report.matched import matched_pairs
from sweeper.report.words import MISSING, number, spaced
from trials.api import Comparison, Control

Value = Callable[[TrialRow], float]
"""A number of a trial."""

DIGITS = 3


class Reading(StrEnum):
    """What the interval of real minus null shows."""

    BEYOND = "beyond the null"
    NOT_BEYOND = "not beyond the null"
    SHORT = "short of the null"
    UNKNOWN = "not identified"


ANSWERS = {
    Reading.BEYOND: "Yes, beyond the null",
    Reading.NOT_BEYOND: "Not beyond the null",
    Reading.SHORT: "No, short of the null",
    Reading.UNKNOWN: "Not identified",
}
"""Answers to the question whether there is structure."""


class NullComparison(NamedTuple):
    """One number of the real trials compared with that of one null.

    Attributes:
        name: of the number, in words.
        null_name: the null.
        real, null: the number over seeds.
        effect: real minus null, paired by seed.
        sign: 1 where structure makes the number larger than the null's, -1 where smaller.
        of_null: whether there are trials of a null.
        at: the metric at whose equal values real and null are compared; "" for none.
    """

    name: str
    null_name: str
    real: Spread
    null: Spread
    effect: Spread
    sign: int = 1
    of_null: bool = True
    at: str = ""

    @property
    def reading(self) -> Reading:
        """What the interval shows; `UNKNOWN` with fewer than two seeds."""
        low, high = sorted((self.sign * self.effect.low, self.sign * self.effect.high))
        if not math.isfinite(low) or not math.isfinite(high):
            return Reading.UNKNOWN
        if low > 0:
            return Reading.BEYOND
        return Reading.SHORT if high < 0 else Reading.NOT_BEYOND

    @property
    def certainty(self) -> str:
        """The difference with its interval, or why there is none."""
        if not self.of_null:
            return "no null was run"
        if self.effect.n == 0:
            if self.real.n and self.null.n and self.at:
                return f"real and null share no {self.at}"
            return "no seed has both real and null"
        mean = f"difference {number(self.effect.mean, DIGITS)}"
        if self.effect.n == 1:
            return f"{mean}, one seed, so no interval"
        if self.effect.low == self.effect.high:
            return f"{mean} in each of {self.effect.n} seeds"
        low, high = (number(end, DIGITS) for end in (self.effect.low, self.effect.high))
        return f"{mean} [{low}, {high}] over {self.effect.n} seeds"


def compare_with_nulls(
    group: TrialGroup,
    name: str,
    value: Value | str,
    *,
    sign: int = 1,
    at: tuple[str, Control] | None = None,
) -> list[NullComparison]:
    """Compare a number of the real trials with that of each null.

    `value` is a metric or a function of a trial. Trials of one seed are averaged. With `at` (a
    metric, and the control of the kind) real and null are compared at equal values of that metric,
    otherwise seed by seed.
    """
    take = metric_of(value) if isinstance(value, str) else value
    real = by_seed(group.real, take)
    found = []
    for null_name, rows in group.nulls.items():
        null = by_seed(rows, take)
        if at is not None and isinstance(value, str):
            metric, control = at
            comparison = Comparison(value, at=metric, shown="difference")
            matched = overall(matched_pairs([*group.real, *rows], control, comparison), comparison)
            effect = matched[0].effect if matched else spread([])
            equal = spaced(metric.removesuffix("_held_out"))
        else:
            effect = spread(real[seed] - null[seed] for seed in real.keys() & null.keys())
            equal = ""
        found.append(
            NullComparison(
                name,
                null_name,
                spread(real.values()),
                spread(null.values()),
                effect,
                sign,
                at=equal,
            )
        )
    nothing = spread([])
    return found or [
        NullComparison(name, "", spread(real.values()), nothing, nothing, sign, of_null=False)
    ]


def most_conservative(comparisons: Sequence[NullComparison]) -> NullComparison:
    """The most conservative null: an effect that beats it beats all of them."""

    def in_favour(one: NullComparison) -> float:
        h2 = (one.sign * one.effect.low, one.sign * one.effect.high)
        return min(h2) if all(map(math.isfinite, h2)) else -math.inf

    return min(comparisons, key=in_favour)


def by_seed(rows: Iterable[TrialRow], value: Value) -> dict[Scalar, float]:
    """The mean of the finite values over the trials of each seed."""
    found: dict[Scalar, list[float]] = defaultdict(list)
    for row in rows:
        if math.isfinite(one := value(row)):
            found[row.params.get(SEED)].append(one)
    return {seed: sum(values) / len(values) for seed, values in found.items()}


def interval(found: Spread) -> str:
    """`0.21 [0.18, 0.24]`; the mean alone for one seed, or where all seeds agree."""
    if found.n == 0:
        return MISSING
    text = number(found.mean, DIGITS)
    if math.isfinite(found.low) and found.low < found.high:
        text += f" [{number(found.low, DIGITS)}, {number(found.high, DIGITS)}]"
    return text


def interval_of_nulls(group: TrialGroup, found: Spread) -> str:
    """`interval` over the trials where there is one null; the mean alone for several."""
    return interval(found) if len(group.nulls) == 1 else number(found.mean, DIGITS)


def answer(subject: str, one: NullComparison, *, out_of: str = "") -> str:
    """`Not beyond the null: SUBJECT is 2 of 15 in the real rows vs. 1 in the null, difference
    1 [-3, 5] over 3 seeds`.
    """
    if not one.real.n:
        return f"{ANSWERS[Reading.UNKNOWN]}: no real trial measured {subject}"
    real, null = number(one.real.mean, DIGITS), number(one.null.mean, DIGITS)
    vs_null = f" vs. {null} in the null" if one.null.n else ""
    return (
        f"{ANSWERS[one.reading]}: {subject} is {real}{out_of} in the real rows{vs_null}, "
        f"{one.certainty}"
    )


def clause(subject: str, one: NullComparison) -> str:
    """`SUBJECT is beyond the null: 12 vs. 3, difference 9 [5, 13] over 3 seeds`."""
    real, null = number(one.real.mean, DIGITS), number(one.null.mean, DIGITS)
    numbers = real + (f" vs. {null}" if one.null.n else "")
    return f"{subject} is {one.reading}: {numbers}, {one.certainty}"


def metric_of(name: str) -> Value:
    """A metric of a trial; NaN where it has none."""
    return lambda row: row.metrics.get(name, math.nan)
