"""The headline findings of a sweep, computed from its trials."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sweeper.declare.search import Best, Search
from sweeper.records import Scalar, TrialRow
from sweeper.report.contrast import Methods, Overall, Spread
from sweeper.report.final_table import MAX_BEST, objective, over_seeds
from sweeper.report.summary import Setting, best_settings, count
from sweeper.report.words import (
    comparison_heading,
    control_title,
    is_positive,
    number,
    plural,
    shown,
    title_of,
    unit_of,
)
from sweeper.store.versions import INPUTS
from trials.api import Comparison, TrialKind

Found = Mapping[Comparison, Sequence[Overall]]
"""The results of each comparison of a kind, one per null."""


class Finding(NamedTuple):
    """A headline number: `title` is shown above `value`, the sentences below it; `more` folded."""

    title: str
    value: str
    sentences: list[str]
    more: list[str] = []


def findings(
    rows: Sequence[TrialRow],
    found: Found,
    kind: TrialKind,
    search: Search,
    *,
    placed: Sequence[Overall] = (),
    seeds: Sequence[int] | None = None,
    left_out: Sequence[str] = (),
) -> list[Finding]:
    """The best setting, real vs. each null and control, and the number of trials in each state.

    `placed` says where real lies between each null and each positive control.

    `left_out` names the trials of the sweep that are not among `rows`.
    """
    nulls = dict.fromkeys((one.null, one.inputs) for overalls in found.values() for one in overalls)
    against = [_against_null(*null, found, kind) for null in nulls]
    between = [_between(one, kind) for one in placed]
    return [_best(rows, kind, search, seeds), *against, *between, _standing(rows, left_out)]


def _best(
    rows: Sequence[TrialRow], kind: TrialKind, search: Search, seeds: Sequence[int] | None
) -> Finding:
    names = [o.metric for o in search.objectives]
    title = f"Best {' and '.join(title_of(kind, name) for name in names)}"
    within = f"Within {_limits(search, kind)}." if search.constraints else ""
    ranking = best_settings(rows, search, seeds)
    best, noun = ranking.best, "trial" if ranking.n_seeds < 2 else "setting"
    partial = f"{ranking.partial}." if ranking.partial else ""
    if not best.front:
        reason = "No complete, certified trial other than a control."
        if best.nearest is not None:
            nearest = best.nearest.item
            reason = f"No {noun} within {_limits(search, kind)}. "
            reason += f"Nearest: {_named(nearest)}{over_seeds(nearest)} with {_beyond(best, kind)}."
        elif partial:
            reason = partial
        return Finding(title, "none", [reason])
    if len(names) > 1:
        front = [
            f"{_named(c.item)}: {_chosen_by(c.item, search, kind)}." for c in best.front[:MAX_BEST]
        ]
        value = f"{plural(len(best.front), noun)} on the front"
        return Finding(title, value, [within, *front, partial])
    setting, metric = best.front[0].item, kind.metric(names[0])
    compared = kind.control.metrics if kind.control else ()
    others = [
        name
        for name in dict.fromkeys((*search.constraints, *compared))
        if name != metric.name
        and all(math.isfinite(row.metrics.get(name, math.nan)) for row in setting.rows)
    ]
    also = ", ".join(f"{title_of(kind, name)} {objective(setting, name)}" for name in others)
    sentences = [_named(setting), within, f"With {also}." if also else ""]
    if len(setting.rows) > 1:
        sentences.insert(1, f"Mean over {len(setting.rows)} seeds, with the 95 % interval.")
    value = f"{objective(setting, metric.name)} {unit_of(metric)}".strip()
    return Finding(title, value, [*sentences, partial])


def _limits(search: Search, kind: TrialKind) -> str:
    """The constraints in words: `validation atoms per token <= 16`."""
    limits = (f"{title_of(kind, name)} {bounds}" for name, bounds in search.constraints.items())
    return ", ".join(limits)


def _beyond(best: Best[Setting], kind: TrialKind) -> str:
    """The constraints that the nearest setting violates, with its values."""
    assert best.nearest is not None
    metrics, constraints = best.nearest.metrics, best.search.constraints
    return ", ".join(
        f"{title_of(kind, name)} {number(metrics[name])}, not {constraints[name]}"
        for name, violation in best.search.violations(metrics).items()
        if violation > 0
    )


def _chosen_by(setting: Setting, search: Search, kind: TrialKind) -> str:
    """The objectives of a setting, by their titles."""
    return ", ".join(
        f"{title_of(kind, o.metric)} {objective(setting, o.metric)}" for o in search.objectives
    )


def _named(setting: Setting) -> str:
    """The name of a setting, without the run id of a single trial, which the table below gives."""
    if len(setting.rows) > 1:
        return setting.name
    version = setting.rows[0].params.get(INPUTS)
    return f"{setting.rows[0].label}, {version}" if version else setting.rows[0].label


def _against_null(null: Scalar, inputs: Scalar, found: Found, kind: TrialKind) -> Finding:
    """The headline comparison in full, the others in one sentence each."""
    assert kind.control is not None
    title = f"Real vs. {control_title(null, kind.control)}"
    other = "control" if is_positive(null, kind.control) else "null"
    if inputs:
        title += f", {inputs}"
    value = ""
    sentences: list[str] = []
    more: list[str] = []
    for comparison, overalls in found.items():
        each = next((o for o in overalls if (o.null, o.inputs) == (null, inputs)), None)
        if each is None:
            continue
        text = _effect(each, comparison, kind)
        verb = "over" if comparison.shown == "ratio" else "minus"
        name = f"{comparison_heading(comparison, kind)}, real {verb} {other}"
        if not value:
            value = text
            sentences += [f"{name}.", *_detail(each, comparison, other)]
            if each.effect.n > 1 and kind.control.redrawn:
                sentences.append(f"Intervals cover {kind.control.redrawn}.")
        else:
            more += [
                f"{name}: {text}.",
                *_detail(each, comparison, other)[: 3 if each.methods else 1],
            ]
    return Finding(title, value, sentences, more)


def _effect(found: Overall, comparison: Comparison, kind: TrialKind) -> str:
    if found.n_outside == found.n_pairs:
        return "no overlap"
    mean = number(found.effect.mean, digits=3)
    unit = "×" if comparison.shown == "ratio" else unit_of(kind.metric(comparison.of))
    return f"{mean} {unit}".strip()


def _between(found: Overall, kind: TrialKind) -> Finding:
    """Where real lies between a null and a positive control."""
    assert kind.control is not None
    headline = comparison_heading(kind.control.comparisons[0], kind)
    title = f"Real between {shown(found.null)}"
    if found.inputs:
        title += f", {found.inputs}"
    sentences = [
        f"0: as without features. 1: as if {kind.control.claim}. Share of the way in {headline}."
    ]
    n_placed = found.n_pairs - found.n_outside
    if found.effect.n > 1:
        low, high = number(found.effect.low, digits=3), number(found.effect.high, digits=3)
        sentences.append(f"95 % interval {low} to {high} over {found.effect.n} seeds.")
    elif found.effect.n:
        sentences.append("One seed, so no interval.")
    sentences.append(f"{n_placed:,} of {plural(found.n_pairs, 'real trial')} within both ranges.")
    value = number(found.effect.mean, digits=3) if found.effect.n else "no overlap"
    return Finding(title, value, sentences)


def _detail(found: Overall, comparison: Comparison, other: str) -> list[str]:
    inside = found.n_pairs - found.n_outside
    within = f"{inside:,} of {plural(found.n_pairs, 'real trial')} within the {other}'s range."
    if not inside:
        return [within]
    sentences = methods_sentences(found.methods) if found.methods else []
    sentences += [_certainty(found.effect, 1.0 if comparison.shown == "ratio" else 0.0)]
    if math.isfinite(found.effect_min):
        low, high = number(found.effect_min, digits=3), number(found.effect_max, digits=3)
        sentences.append(f"Single trials: {low} to {high}.")
    return [*sentences, within]


def methods_sentences(methods: Methods) -> list[str]:
    """Which methods the lowest values are from, and the range over single methods."""
    low, high = (number(value, digits=3) for value in (methods.low, methods.high))
    return [
        f"Most favourable real ({methods.real[0]}) vs. most favourable null ({methods.null[0]}), "
        f"of {plural(len(methods.names), 'method')}.",
        f"By one method for both: {low} to {high}.",
    ]


def _certainty(spread: Spread, neutral: float) -> str:
    if spread.n < 2:
        return "One seed, so no interval."
    low, high = number(spread.low, digits=3), number(spread.high, digits=3)
    interval = f"95 % interval {low} to {high} over {spread.n} seeds"
    if spread.low <= neutral <= spread.high:
        return f"{interval}: no significant difference."
    return f"{interval}: real is {'lower' if spread.high < neutral else 'higher'}."


def _standing(rows: Sequence[TrialRow], left_out: Sequence[str]) -> Finding:
    n = count(rows)
    kinds = {
        "failed": n.failed,
        "pruned": n.pruned,
        "unfinished": n.unfinished,
        "uncertified": n.uncertified,
    }
    rest = ", ".join(f"{number} {name}" for name, number in kinds.items() if number)
    sentences = [f"{plural(n.controls, 'control')} among them." if n.controls else ""]
    sentences.append(f"{rest}.".capitalize() if rest else "None failed, none uncertified.")
    sentences += [f"{line}." for line in left_out]
    return Finding("Trials complete", f"{n.complete:,} of {n.total:,}", sentences)
