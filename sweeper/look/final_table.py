"""What a run prints at its end: each setting's numbers, real beside null."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from sweeper.look.contrast import SEED, Contrast, Spread, contrasts, matched_pairs, spread
from sweeper.look.summary import best_trial, count, headline_metrics, varying_fields
from sweeper.look.tables import Grid, page
from sweeper.look.words import MISSING, natural, number, plural, shown, spaced
from sweeper.records import Scalar, TrialRow, TrialState
from sweeper.store.results import one_per_key
from trials.api import TrialKind

Setting = tuple[tuple[str, Scalar], ...]


class Comparison(NamedTuple):
    """A table as text; its first `n_labels` columns name the setting, the others hold numbers."""

    columns: list[str]
    n_labels: int
    rows: list[list[str]]


def final_table(
    rows: Sequence[TrialRow], kind: TrialKind, *, limit: int = 40, width: int | None = None
) -> str:
    """A row for the real and for each null of a setting; means over seeds.

    A setting is what the sweep varies, but for the seed and the control field. The last columns
    are the null's `Control.of` at the real's `Control.at`, and real over null with its 95 %
    interval over seeds. `*` marks a mean with an uncertified trial.
    """
    rows = one_per_key(rows)
    found = comparison(rows, kind)
    parts: list[Grid | str] = []
    if found.rows:
        numbers = found.columns[found.n_labels :]
        parts.append(Grid(found.columns, found.rows[:limit], right=numbers))
    if len(found.rows) > limit:
        parts.append(f"{plural(len(found.rows) - limit, 'more row')} not shown")
    return page(*parts, *_notes(rows, kind), width=width)


def comparison(rows: Sequence[TrialRow], kind: TrialKind) -> Comparison:
    """Each setting's numbers, real beside null, as text. `rows` hold each key once."""
    fields = _setting_fields(rows, kind)
    cells: dict[Setting, dict[Scalar, list[TrialRow]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row.state is TrialState.COMPLETE:
            setting = tuple((name, row.params.get(name)) for name in fields)
            cells[setting][_arm(row, kind)].append(row)
    ordered = sorted(cells, key=lambda s: [natural(value) for _, value in s])
    metrics = headline_metrics(kind)
    columns = [*map(spaced, fields), *map(spaced, metrics)]
    if (control := kind.control) is None:
        body = [_cells(s) + _means(cells[s][None], metrics) for s in ordered]
        return Comparison(columns, len(fields), body)

    columns.insert(len(fields), spaced(control.field))
    columns += [f"null at equal {spaced(control.at)}", "real / null", "95 % interval"]
    matched = {
        (tuple((name, dict(c.setting).get(name)) for name in fields), c.null): c
        for c in contrasts(matched_pairs(rows, kind))
    }
    body = []
    for setting in ordered:
        for arm in sorted(cells[setting], key=lambda a: (a != control.real, natural(a))):
            found = matched.get((setting, arm))
            compared = _compared(found) if found else ["", "", ""]
            means = _means(cells[setting][arm], metrics)
            body.append([*_cells(setting), shown(arm), *means, *compared])
    return Comparison(columns, len(fields) + 1, body)


def interval(ratio: Spread) -> str:
    """`0.6–0.64`; nothing where there are no replicates."""
    low, high = number(ratio.low, digits=3), number(ratio.high, digits=3)
    return f"{low}–{high}" if ratio.n > 1 else ""


def _compared(found: Contrast) -> list[str]:
    mean = number(found.ratio.mean, digits=3)
    return [number(found.null_value.mean), mean, interval(found.ratio)]


def _notes(rows: Sequence[TrialRow], kind: TrialKind) -> list[str]:
    n = count(rows)
    notes = [f"{plural(n.complete, 'trial')} of {n.total} complete"]
    if n.failed:
        notes[0] += f", {n.failed} failed"
    if n.pruned:
        notes[0] += f", {n.pruned} pruned"
    if n.uncertified:
        notes.append(f"* {plural(n.uncertified, 'trial')} uncertified, never best nor compared")
    if best := best_trial(rows, kind):
        value = number(best.metrics[kind.objective])
        notes.append(f"best {spaced(kind.objective)}: {value} ({best.label}, {best.run_id})")
    return notes


def _setting_fields(rows: Sequence[TrialRow], kind: TrialKind) -> list[str]:
    skipped = {SEED, kind.control.field if kind.control else SEED}
    return [name for name in varying_fields(rows, kind) if name not in skipped]


def _arm(row: TrialRow, kind: TrialKind) -> Scalar:
    return row.params.get(kind.control.field) if kind.control else None


def _cells(setting: Setting) -> list[str]:
    return [shown(value) for _, value in setting]


def _means(rows: Sequence[TrialRow], metrics: Sequence[str]) -> list[str]:
    mark = "*" if any(row.uncertified for row in rows) else ""
    found = (spread(row.metrics.get(name, float("nan")) for row in rows) for name in metrics)
    return [number(s.mean) + mark if s.n else MISSING for s in found]
