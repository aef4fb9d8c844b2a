"""The headline findings of a sweep, computed from its trials."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sweeper.declare.search import Search
from sweeper.look.contrast import Overall, Spread
from sweeper.look.final_table import MAX_BEST
from sweeper.look.summary import best_trials, chosen_by, count
from sweeper.look.words import comparison_title, number, plural, shown, spaced
from sweeper.records import Scalar, TrialRow
from trials.api import Comparison, TrialKind

Found = Mapping[Comparison, Sequence[Overall]]
"""What each comparison of a kind gave, by null."""


class Finding(NamedTuple):
    """One number that matters: `value` large, `title` above it, sentences below."""

    title: str
    value: str
    sentences: list[str]


def findings(
    rows: Sequence[TrialRow], found: Found, kind: TrialKind, search: Search
) -> list[Finding]:
    """The best trial, real against each null, and how many trials stand where."""
    nulls = dict.fromkeys(each.null for overalls in found.values() for each in overalls)
    against = [_against_null(null, found, kind) for null in nulls]
    return [_best(rows, kind, search), *against, _standing(rows)]


def _best(rows: Sequence[TrialRow], kind: TrialKind, search: Search) -> Finding:
    names = [objective.metric for objective in search.objectives]
    title = f"Best {' and '.join(map(spaced, names))}"
    within = f"Within {search.limits}." if search.constraints else ""
    best = best_trials(rows, search)
    if not best.front:
        reason = "No complete, certified trial other than a null."
        if best.nearest is not None:
            label = best.nearest.item.label
            reason = f"No trial within {search.limits}. Nearest: {label} with {best.beyond()}."
        return Finding(title, "none", [reason])
    if len(names) > 1:
        front = [f"{c.item.label}: {chosen_by(c.item, search)}." for c in best.front[:MAX_BEST]]
        return Finding(title, f"{plural(len(best.front), 'trial')} on the front", [within, *front])
    row, metric = best.front[0].item, kind.metric(names[0])
    compared = kind.control.metrics if kind.control else ()
    others = [n for n in (*search.constraints, *compared) if n != metric.name and n in row.metrics]
    beside = ", ".join(f"{spaced(n)} {number(row.metrics[n])}" for n in dict.fromkeys(others))
    sentences = [row.label, within, f"With {beside}." if beside else ""]
    return Finding(title, f"{number(row.metrics[metric.name])} {metric.unit}".strip(), sentences)


def _against_null(null: Scalar, found: Found, kind: TrialKind) -> Finding:
    """The headline comparison in full, the others a sentence each."""
    assert kind.control is not None
    title = f"Real beside {spaced(kind.control.field)} {shown(null)}"
    value, sentences = "", []
    for comparison, overalls in found.items():
        each = next((overall for overall in overalls if overall.null == null), None)
        if each is None:
            continue
        text = _effect(each, comparison, kind)
        verb = "over" if comparison.shown == "ratio" else "minus"
        name = f"{comparison_title(comparison)}, real {verb} null"
        if not value:
            value = text
            sentences += [f"{name}.", *_detail(each, comparison)]
        else:
            sentences += [f"{name}: {text}.", *_detail(each, comparison)[:1]]
    return Finding(title, value, sentences)


def _effect(found: Overall, comparison: Comparison, kind: TrialKind) -> str:
    if found.n_outside == found.n_pairs:
        return "no overlap"
    mean = number(found.effect.mean, digits=3)
    unit = "×" if comparison.shown == "ratio" else kind.metric(comparison.of).unit
    return f"{mean} {unit}".strip()


def _detail(found: Overall, comparison: Comparison) -> list[str]:
    inside = found.n_pairs - found.n_outside
    within = f"{inside} of {plural(found.n_pairs, 'real trial')} within the null's range."
    if not inside:
        return [within]
    sentences = [_certainty(found.effect, 1.0 if comparison.shown == "ratio" else 0.0)]
    if math.isfinite(found.effect_min):
        low, high = number(found.effect_min, digits=3), number(found.effect_max, digits=3)
        sentences.append(f"Single trials: {low} to {high}.")
    return [*sentences, within]


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
