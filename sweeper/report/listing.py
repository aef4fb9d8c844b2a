"""`ls` and `show`: trials as text for a terminal and as JSON for a program."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sweeper.records import TrialRow, TrialState, trial_label
from sweeper.report.summary import is_trusted, label_fields
from sweeper.report.tables import Grid, page
from sweeper.report.words import (
    MISSING,
    beginnings,
    byte_size,
    number,
    plural,
    seconds,
    shown,
    spaced,
)
from sweeper.store.versions import told_apart
from trials.api import TrialKind

Kinds = Mapping[str, TrialKind]
"""The installed kinds by name; rows of other kinds are listed without metrics."""


def trials_table(rows: Sequence[TrialRow], kinds: Kinds, *, width: int | None = None) -> str:
    """`ls`: a table per sweep, with one row per trial: label, state and objective.

    A label has the fields in which the trials of its table differ. `*` marks numbers that are not
    certified. `size` is that of the artifacts; a reused trial has none of its own.
    """
    if not rows:
        return "no trials\n"
    ids = beginnings(row.run_id for row in rows)
    parts: list[Grid | str] = []
    for sweep, kind in sorted({(row.sweep, row.kind) for row in rows}):
        mine = [row for row in rows if (row.sweep, row.kind) == (sweep, kind)]
        parts.append(_sweep_table(told_apart(mine), kinds.get(kind), ids))
    if n_uncertified := sum(bool(row.uncertified) for row in rows):
        parts.append(f"* {plural(n_uncertified, 'trial')} uncertified")
    return page(*parts, width=width)


def _sweep_table(rows: Sequence[TrialRow], kind: TrialKind | None, ids: Mapping[str, str]) -> Grid:
    fields = label_fields(rows, kind)
    metrics = [kind.objective] if kind else []
    n_bytes = sum(row.n_bytes for row in rows)
    sizes = ("size",) if n_bytes else ()
    numbers = (*map(spaced, metrics), "time", *sizes)
    cells = [
        (
            ids[row.run_id],
            trial_label(row.kind, row.key, row.params, fields) if fields else row.label,
            row.state,
            *(_marked(row, metric) for metric in metrics),
            seconds(row.duration_s) if row.ended_ms else MISSING,
            *(byte_size(row.n_bytes) if row.n_bytes else MISSING for _ in sizes),
        )
        for row in rows
    ]
    title = f"{rows[0].sweep} ({rows[0].kind}): {plural(len(rows), 'trial')}"
    title += f", {byte_size(n_bytes)}" if n_bytes else ""
    return Grid(("trial", "label", "state", *numbers), cells, right=numbers, title=title)


def _marked(row: TrialRow, metric: str) -> str:
    return number(row.metrics.get(metric)) + ("*" if row.uncertified else "")


def json_parts(rows: Iterable[TrialRow]) -> Iterator[str]:
    """`ls --json`, in parts: a list of trials, all of `TrialRow` and `certified`, `duration_s`."""
    start = "[\n"
    for row in rows:
        yield start + textwrap.indent(to_json(_as_json(row)).rstrip("\n"), "  ")
        start = ",\n"
    yield "[]\n" if start == "[\n" else "\n]\n"


def trial_page(row: TrialRow, kind: TrialKind | None, *, width: int | None = None) -> str:
    """`show`: everything known about one trial. Metrics have definitions if `kind` is known."""
    head = [
        ("run id", row.run_id),
        ("sweep", f"{row.sweep}, submission {row.submission}"),
        ("kind", f"{row.kind} version {row.kind_version}"),
        ("key", row.key),
        ("state", row.state),
        ("certified", certified(row)),
        ("control", "a null, never best" if row.is_control else "no"),
        ("time", seconds(row.duration_s) if row.ended_ms else MISSING),
    ]
    extra = [("uncertified", row.uncertified), ("error", row.error), ("reused", row.reused_from)]
    head += [(name, value) for name, value in extra if value]
    parts = [Grid(("trial", row.label), head)]
    if row.params:
        varied = [
            (name, shown(value), "varied" if name in row.varied else "")
            for name, value in row.params.items()
        ]
        parts.append(Grid(("config", "value", ""), varied, right=("value",)))
    if row.metrics:
        columns = ("metric", "value", "unit", "definition")
        parts.append(Grid(columns, _metric_rows(row, kind), right=("value",)))
    if row.artifacts:
        files = [
            (a.path, f"{a.n_bytes:,}", "pruned" if a.path in row.pruned else a.sha256)
            for a in row.artifacts
        ]
        parts.append(Grid(("artifact", "bytes", "sha256"), files, right=("bytes",)))
    for title, texts in (("fact", row.facts), ("provenance", row.provenance)):
        if texts:
            parts.append(Grid((title, ""), sorted(texts.items())))
    return page(*parts, width=width)


def trial_json(row: TrialRow, kind: TrialKind | None) -> str:
    """`show --json`: one trial, with unit and definition of each metric that `kind` declares."""
    declared = {
        metric.name: {"unit": metric.unit, "definition": metric.definition}
        for metric in (kind.metrics if kind else ())
    }
    return to_json({**_as_json(row), "metric_definitions": declared})


def certified(row: TrialRow) -> str:
    """`yes`, `no`, or a dash for a trial without numbers."""
    if row.state is not TrialState.COMPLETE:
        return MISSING
    return "yes" if is_trusted(row) else "no"


def to_json(value: Any) -> str:
    """Standard JSON: NaN and infinities become null."""
    return json.dumps(_finite(value), indent=2, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value


def _as_json(row: TrialRow) -> dict[str, Any]:
    return {
        **row.model_dump(),
        "setting": row.setting,
        "state": str(row.state),
        "certified": is_trusted(row),
        "duration_s": row.duration_s,
    }


def _metric_rows(row: TrialRow, kind: TrialKind | None) -> list[tuple[str, str, str, str]]:
    declared = {metric.name: metric for metric in (kind.metrics if kind else ())}
    known = [
        (name, number(row.metrics[name]), metric.unit, metric.definition)
        for name, metric in declared.items()
        if name in row.metrics
    ]
    others = sorted(set(row.metrics) - set(declared))
    return known + [(name, number(row.metrics[name]), "", "") for name in others]
