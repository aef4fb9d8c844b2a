"""What a run prints at its end: the numbers of each setting, real vs. null."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from sweeper.declare.search import Search
from sweeper.records import SEED, Scalar, TrialRow, TrialState
from sweeper.report.contrast import Contrast, Spread, contrasts, overall, spread
from sweeper.report.matched import matched_pairs
from sweeper.report.summary import (
    Setting,
    best_settings,
    count,
    headline_metrics,
    varying_fields,
)
from sweeper.report.tables import Grid, fits, page
from sweeper.report.words import (
    MISSING,
    comparison_heading,
    comparison_title,
    control_name,
    natural,
    number,
    plural,
    shown,
    spaced,
    title_of,
)
from sweeper.store.versions import one_per_key, told_apart
from trials.api import Comparison, TrialKind

MAX_COMPARISONS = 3
"""Most comparisons in a table for a terminal."""

MAX_BEST = 8
"""Most settings of a Pareto front that are listed."""

Values = tuple[tuple[str, Scalar], ...]
"""The varied fields of a setting with their values."""


class SettingsTable(NamedTuple):
    """A table as text; its first `n_labels` columns name the setting, the others hold numbers."""

    columns: list[str]
    n_labels: int
    rows: list[list[str]]


def final_table(
    rows: Sequence[TrialRow],
    kind: TrialKind,
    search: Search,
    *,
    seeds: Sequence[int] | None = None,
    limit: int = 40,
    width: int | None = None,
) -> str:
    """`settings_table` as text; below it, what failed and what is best under `search`.

    `seeds` are the replicates that the sweep declares (default: the largest number that a setting
    has). The table has as many of the kind's comparisons as fit, at most `MAX_COMPARISONS`; the
    report has all of them.
    """
    rows = told_apart(one_per_key(rows))
    parts: list[Grid | str] = []
    for n_shown in range(MAX_COMPARISONS, 0, -1):
        found = settings_table(rows, _with_comparisons(kind, n_shown), search)
        numbers = found.columns[found.n_labels :]
        grid = Grid(found.columns, found.rows[:limit], right=numbers)
        if kind.control is None or fits(grid, width):
            break
    if found.rows:
        parts.append(grid)
    if len(found.rows) > limit:
        parts.append(f"{plural(len(found.rows) - limit, 'more row')} not shown")
    if kind.control and found.rows and (n_left := len(kind.control.comparisons) - n_shown) > 0:
        parts.append(f"{plural(n_left, 'more comparison')} in the report")
    if kind.control:
        parts += methods_notes(rows, _with_comparisons(kind, n_shown))
    return page(*parts, *_notes(rows, search, seeds), width=width)


def methods_notes(rows: Sequence[TrialRow], kind: TrialKind) -> list[str]:
    """One line per null and comparison by several methods: the best of each side, the range."""
    assert kind.control is not None
    lines = []
    for comparison in kind.control.comparisons:
        for one in overall(matched_pairs(rows, kind.control, comparison), comparison):
            if (found := one.methods) is None:
                continue
            low, high = (number(value, digits=3) for value in (found.low, found.high))
            lines.append(
                f"{comparison_title(comparison)} vs. {shown(one.null)}: real by {found.real[0]}, "
                f"null by {found.null[0]}; by one method for both {low} to {high}"
            )
    return lines


def _with_comparisons(kind: TrialKind, n: int) -> TrialKind:
    """The kind with the first `n` of its comparisons."""
    if kind.control is None:
        return kind
    return replace(kind, control=replace(kind.control, comparisons=kind.control.comparisons[:n]))


def settings_table(
    rows: Sequence[TrialRow],
    kind: TrialKind,
    search: Search,
    *,
    titled: bool = False,
) -> SettingsTable:
    """One row per setting for the real trials and one for each null; `rows` hold each key once.

    A setting is what the sweep varies, without the seed and the control field. The row of the real
    trials holds their means over seeds. The row of a null or positive control below it holds its
    values at the same x: for each comparison its `of` at equal `at`, and in the last columns real
    over (or minus) it with the 95 % interval over seeds. A control without a real trial has its own
    means. `*` marks a mean that includes an uncertified trial. The columns have the names of fields
    and metrics in words, or their titles.
    """
    name_of = (lambda name: title_of(kind, name)) if titled else spaced
    fields = _setting_fields(rows, kind)
    cells: dict[Values, dict[Scalar, list[TrialRow]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row.state is TrialState.COMPLETE:
            setting = tuple((name, row.params.get(name)) for name in fields)
            cells[setting][_arm(row, kind)].append(row)
    ordered = sorted(cells, key=lambda s: [natural(value) for _, value in s])
    metrics = headline_metrics(kind, search)
    columns = [*map(name_of, fields), *map(name_of, metrics)]
    if (control := kind.control) is None:
        body = [_cells(s) + _means(cells[s][None], metrics) for s in ordered]
        return SettingsTable(columns, len(fields), body)

    columns.insert(len(fields), name_of(control.field))
    columns += [effect_title(comparison, kind, titled=titled) for comparison in control.comparisons]
    matched = {
        (tuple((name, dict(c.setting).get(name)) for name in fields), c.null, comparison): c
        for comparison in control.comparisons
        for c in contrasts(matched_pairs(rows, control, comparison), comparison)
    }
    body = []
    for setting in ordered:
        arms = cells[setting]
        for arm in sorted(arms, key=lambda a: (a != control.real, natural(a))):
            numbers = _means(arms[arm], metrics) + [""] * len(control.comparisons)
            if arm != control.real and control.real in arms:
                numbers = _null_cells(
                    {c: matched.get((setting, arm, c)) for c in control.comparisons}, metrics
                )
            body.append([*_cells(setting), shown(arm), *numbers])
    return SettingsTable(columns, len(fields) + 1, body)


def effect_title(comparison: Comparison, kind: TrialKind, *, titled: bool = False) -> str:
    """`fvu at equal l0: real / null`, or `bits at equal fvu: real - null (bits)`."""
    name = comparison_heading(comparison, kind) if titled else comparison_title(comparison)
    shown_as = "real / null"
    if comparison.shown == "difference":
        unit = kind.metric(comparison.of).unit
        shown_as = f"real - null ({unit})" if unit else "real - null"
    return f"{name}: {shown_as}"


def effect(found: Spread) -> str:
    """`0.841 [0.839, 0.843]`; the mean alone without replicates."""
    mean, low, high = (number(n, digits=3) for n in (found.mean, found.low, found.high))
    return f"{mean} [{low}, {high}]" if found.n > 1 else mean


def _null_cells(found: Mapping[Comparison, Contrast | None], metrics: Sequence[str]) -> list[str]:
    """The cells of a null's row: the compared metrics (by their first comparison), the effects."""
    values: dict[str, str] = {}
    for comparison, c in found.items():
        values.setdefault(comparison.of, number(c.null_value.mean) if c else MISSING)
    effects = [effect(c.effect) if c else MISSING for c in found.values()]
    return [*(values.get(name, "") for name in metrics), *effects]


def objective(setting: Setting, metric: str) -> str:
    """`0.31 [0.29, 0.33]`: the mean over seeds, with its 95 % interval where seeds differ."""
    found = spread(setting.values(metric))
    if not found.low < found.high:
        return number(found.mean)
    return f"{number(found.mean)} [{number(found.low, digits=3)}, {number(found.high, digits=3)}]"


def over_seeds(setting: Setting) -> str:
    """` over 3 seeds`; nothing for one."""
    return f" over {len(setting.rows)} seeds" if len(setting.rows) > 1 else ""


def chosen_by(setting: Setting, search: Search) -> str:
    """`fvu validation 0.31, bits validation 60.2`: the objectives of a setting."""
    return ", ".join(
        f"{spaced(o.metric)} {objective(setting, o.metric)}" for o in search.objectives
    )


def _notes(rows: Sequence[TrialRow], search: Search, seeds: Sequence[int] | None) -> list[str]:
    n = count(rows)
    notes = [f"{plural(n.complete, 'trial')} of {n.total} complete"]
    if n.failed:
        notes[0] += f", {n.failed} failed"
    if n.pruned:
        notes[0] += f", {n.pruned} pruned"
    if n.uncertified:
        notes.append(f"* {plural(n.uncertified, 'trial')} uncertified, never best nor compared")
    return notes + _best_notes(rows, search, seeds)


def _best_notes(rows: Sequence[TrialRow], search: Search, seeds: Sequence[int] | None) -> list[str]:
    ranking = best_settings(rows, search, seeds)
    best = ranking.best
    partial = [ranking.partial] if ranking.partial else []
    within = f" with {search.limits}" if search.constraints else ""
    if not best.front:
        if best.nearest is None:
            return [f"no best: {ranking.partial}"] if partial else []
        nearest = best.nearest.item
        noun = "trial" if ranking.n_seeds < 2 else "setting"
        found = f"{best.beyond()} ({nearest.name}{over_seeds(nearest)})"
        return [f"no {noun}{within}; nearest: {found}", *partial]
    if len(search.objectives) == 1:
        setting, name = best.front[0].item, search.objectives[0].metric
        value = f"{objective(setting, name)}{over_seeds(setting)}"
        return [f"best {spaced(name)}{within}: {value} ({setting.name})", *partial]
    named = [f"{chosen_by(c.item, search)} ({c.item.name})" for c in best.front[:MAX_BEST]]
    if len(best.front) > MAX_BEST:
        named.append(f"and {len(best.front) - MAX_BEST} more")
    noun = "trial" if ranking.n_seeds < 2 else "setting"
    over = over_seeds(best.front[0].item)
    return [f"Pareto front{within}: {plural(len(best.front), noun)}{over}", *named, *partial]


def _setting_fields(rows: Sequence[TrialRow], kind: TrialKind) -> list[str]:
    skipped = {SEED, *((kind.control.field, *kind.control.variants) if kind.control else ())}
    return [name for name in varying_fields(rows, kind) if name not in skipped]


def _arm(row: TrialRow, kind: TrialKind) -> Scalar:
    return control_name(row.params, kind.control) if kind.control else None


def _cells(setting: Values) -> list[str]:
    return [shown(value) for _, value in setting]


def _means(rows: Sequence[TrialRow], metrics: Sequence[str]) -> list[str]:
    mark = "*" if any(row.uncertified for row in rows) else ""
    found = (spread(row.metrics.get(name, float("nan")) for row in rows) for name in metrics)
    return [number(s.mean) + mark if s.n else MISSING for s in found]
