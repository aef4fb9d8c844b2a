"""The headline findings of a sweep, computed from its trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from sweeper.look.contrast import MatchedPair, Overall, Spread, overall
from sweeper.look.summary import best_trial, count
from sweeper.look.words import number, plural, shown, spaced
from sweeper.records import TrialRow
from trials.api import Control, TrialKind


class Finding(NamedTuple):
    """One number that matters: `value` large, `title` above it, sentences below."""

    title: str
    value: str
    sentences: list[str]


def findings(
    rows: Sequence[TrialRow], pairs: Sequence[MatchedPair], kind: TrialKind
) -> list[Finding]:
    """The best trial, real against each null, and how many trials stand where."""
    found = [_best(rows, kind)]
    if kind.control:
        found += [_against_null(each, kind.control) for each in overall(pairs)]
    return [*found, _standing(rows)]


def _best(rows: Sequence[TrialRow], kind: TrialKind) -> Finding:
    metric = kind.metric(kind.objective)
    title = f"Best {spaced(metric.name)}"
    if (best := best_trial(rows, kind)) is None:
        return Finding(title, "none", ["No complete, certified trial other than a null."])
    others = [name for name in _compared(kind) if name != metric.name and name in best.metrics]
    beside = ", ".join(f"{spaced(name)} {number(best.metrics[name])}" for name in others)
    sentences = [best.label, f"With {beside}." if beside else ""]
    return Finding(title, f"{number(best.metrics[metric.name])} {metric.unit}".strip(), sentences)


def _against_null(found: Overall, control: Control) -> Finding:
    of, at = spaced(control.of), spaced(control.at)
    title = f"Real beside {spaced(control.field)} {shown(found.null)}"
    inside = found.n_pairs - found.n_outside
    if inside == 0:
        return Finding(title, "no overlap", [f"No real trial has a {at} in the range of the null."])
    if found.ratio.n:
        value, verb = number(found.ratio.mean, digits=3) + " ×", "over"
        spread, neutral = found.ratio, 1.0
    else:  # a metric that can be negative has no ratio
        value, verb = number(found.difference.mean, digits=3), "minus"
        spread, neutral = found.difference, 0.0
    sentences = [f"{of}, real {verb} null, at equal {at}."]
    sentences.append(_certainty(spread, neutral))
    if math.isfinite(found.ratio_min):
        low, high = number(found.ratio_min, digits=3), number(found.ratio_max, digits=3)
        sentences.append(f"Single trials: {low} to {high}.")
    sentences.append(f"{inside} of {plural(found.n_pairs, 'real trial')} within the null's range.")
    return Finding(title, value, sentences)


def _certainty(spread: Spread, neutral: float) -> str:
    if spread.n < 2:
        return "One seed, hence no interval."
    low, high = number(spread.low, digits=3), number(spread.high, digits=3)
    interval = f"95 % interval {low} to {high} over {spread.n} seeds"
    if spread.low <= neutral <= spread.high:
        return f"{interval}: not told apart."
    return f"{interval}: real is {'lower' if spread.high < neutral else 'higher'}."


def _standing(rows: Sequence[TrialRow]) -> Finding:
    n = count(rows)
    kinds = {
        "failed": n.failed,
        "pruned": n.pruned,
        "unfinished": n.unfinished,
        "uncertified": n.uncertified,
    }
    rest = ", ".join(f"{number} {name}" for name, number in kinds.items() if number)
    sentences = [f"{plural(n.controls, 'null')} among them." if n.controls else ""]
    sentences.append(f"{rest}.".capitalize() if rest else "None failed, none uncertified.")
    return Finding("Trials complete", f"{n.complete} of {n.total}", sentences)


def _compared(kind: TrialKind) -> tuple[str, ...]:
    return (kind.control.of, kind.control.at) if kind.control else ()
