"""`diff`: the differences between two trials; equal entries are only counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sweeper.errors import UserError, one_line
from sweeper.records import TrialRow
from sweeper.report.artifact_distance import Distance, distances
from sweeper.report.artifact_table import Fetch
from sweeper.report.listing import to_json
from sweeper.report.tables import Grid, page
from sweeper.report.words import MISSING, number, plural, seconds, shown
from sweeper.store.differences import (
    Difference,
    differences,
    environment_differences,
    n_environment,
    same,
)


class ArtifactDifference(NamedTuple):
    """An artifact whose content differs, or that only one trial has.

    `note` says why there is no distance: only one trial has it, it holds no numbers, it is damaged.
    """

    path: str
    note: str
    apart: Sequence[Distance] = ()


class TrialDifference(NamedTuple):
    """The differences between trials `a` and `b`, and the number of entries compared.

    `texts` holds (name, a, b) by section: trial, config, environment, inputs, facts; `totals` the
    number of entries compared by section, including metrics and artifacts.
    """

    a: TrialRow
    b: TrialRow
    texts: Mapping[str, Sequence[tuple[str, str, str]]]
    metrics: Sequence[Difference]
    artifacts: Sequence[ArtifactDifference]
    totals: Mapping[str, int]


def compare(a: TrialRow, b: TrialRow, fetch: Fetch) -> TrialDifference:
    """Compare two trials. Artifacts with different digests are fetched and compared."""
    sides = {
        "trial": (_head(a), _head(b)),
        "config": (_config(a), _config(b)),
        "inputs": (_inputs(a), _inputs(b)),
        "facts": (a.facts, b.facts),
    }
    texts = {section: _unequal(*pair) for section, pair in sides.items()}
    totals = {section: len({**left, **right}) for section, (left, right) in sides.items()}
    environments = _environment(a), _environment(b)
    metrics = differences(a.metrics, b.metrics)
    paths = {artifact.path for artifact in (*a.artifacts, *b.artifacts)}
    return TrialDifference(
        a=a,
        b=b,
        texts=texts | {"environment": list(environment_differences(*environments))},
        metrics=[d for d in metrics if not same(d.a, d.b)],
        artifacts=list(_artifacts(a, b, fetch)),
        totals=totals
        | {
            "environment": n_environment(*environments),
            "metrics": len(metrics),
            "artifacts": len(paths),
        },
    )


def diff_page(found: TrialDifference, *, width: int | None = None) -> str:
    """Tables of the differences, and a line that counts what is equal."""
    parts: list[Grid | str] = [
        f"A: {found.a.label} (run {found.a.run_id[:12]}, sweep {found.a.sweep})",
        f"B: {found.b.label} (run {found.b.run_id[:12]}, sweep {found.b.sweep})",
    ]
    for section, rows in found.texts.items():
        if rows:
            cells = [(name, a or MISSING, b or MISSING) for name, a, b in rows]
            parts.append(Grid((section, "A", "B"), cells))
    if found.metrics:
        columns: tuple[str, ...] = ("metric", "A", "B", "B - A", "relative")
        values = [
            (d.name, number(d.a, 6), number(d.b, 6), number(d.absolute), number(d.relative))
            for d in found.metrics
        ]
        parts.append(Grid(columns, values, right=columns[1:]))
    if found.artifacts:
        columns = ("artifact", "array", "A", "B", "max |B - A|", "‖B - A‖ / ‖A‖")
        parts.append(Grid(columns, list(_artifact_cells(found.artifacts)), right=columns[4:]))
    return page(*parts, _equal_line(found), width=width)


def diff_json(found: TrialDifference) -> str:
    """The differences as one object: `a`, `b`, one entry per section, and `equal`, counts."""
    sections: dict[str, Any] = {
        section: {name: {"a": a, "b": b} for name, a, b in rows}
        for section, rows in found.texts.items()
    }
    return to_json(
        {
            "a": found.a.run_id,
            "b": found.b.run_id,
            **sections,
            "metrics": {d.name: d._asdict() for d in found.metrics},
            "artifacts": {
                d.path: {"note": d.note, "arrays": [array._asdict() for array in d.apart]}
                for d in found.artifacts
            },
            "equal": {section: found.totals[section] - n for section, n in _counts(found).items()},
        }
    )


# ---- inside ------------------------------------------------------------------------------------


def _head(row: TrialRow) -> dict[str, str]:
    return {
        "kind": f"{row.kind} version {row.kind_version}",
        "state": str(row.state),
        "error": row.error,
        "uncertified": row.uncertified,
        "time": seconds(row.duration_s),
    }


def _config(row: TrialRow) -> dict[str, str]:
    # `repr`, so that numbers that differ only in the last digit are shown as different.
    return {
        name: repr(value) if isinstance(value, float) else shown(value)
        for name, value in row.params.items()
    }


def _inputs(row: TrialRow) -> dict[str, str]:
    named = row.provenance.items()
    return {n.removeprefix("input."): text for n, text in named if n.startswith("input.")}


def _environment(row: TrialRow) -> dict[str, str]:
    return {n: text for n, text in row.provenance.items() if not n.startswith("input.")}


def _unequal(a: Mapping[str, str], b: Mapping[str, str]) -> list[tuple[str, str, str]]:
    pairs = ((name, a.get(name, ""), b.get(name, "")) for name in {**a, **b})
    return [(name, left, right) for name, left, right in pairs if left != right]


def _artifacts(a: TrialRow, b: TrialRow, fetch: Fetch) -> Iterator[ArtifactDifference]:
    left, right = ({artifact.path: artifact.sha256 for artifact in r.artifacts} for r in (a, b))
    for path in sorted({*left, *right}):
        if path not in left or path not in right:
            yield ArtifactDifference(path, f"only in {'A' if path in left else 'B'}")
        elif left[path] != right[path]:
            yield _measured(path, a, b, fetch)


def _measured(path: str, a: TrialRow, b: TrialRow, fetch: Fetch) -> ArtifactDifference:
    try:
        apart = distances(*(fetch(row.reused_from or row.run_id, path) for row in (a, b)))
    except (UserError, ValueError, OSError) as error:  # the rest of the page is still useful
        return ArtifactDifference(path, one_line(str(error), 200))
    if not apart:
        return ArtifactDifference(path, "differs, and holds no numbers")
    differing = [distance for distance in apart if not distance.is_equal]
    note = "" if differing else "differs in its bytes, not in its numbers"
    return ArtifactDifference(path, note, differing)


def _artifact_cells(found: Sequence[ArtifactDifference]) -> Iterator[tuple[str, ...]]:
    for artifact in found:
        if artifact.note:
            yield artifact.path, artifact.note, "", "", "", ""
        for d in artifact.apart:
            forms = (d.a or MISSING, d.b or MISSING)
            yield artifact.path, d.name, *forms, number(d.largest), number(d.relative)


def _counts(found: TrialDifference) -> dict[str, int]:
    counts = {section: len(rows) for section, rows in found.texts.items()}
    return counts | {"metrics": len(found.metrics), "artifacts": len(found.artifacts)}


def _equal_line(found: TrialDifference) -> str:
    words = {
        "config": "config field",
        "inputs": "input",
        "facts": "fact",
        "environment": "environment fact",
        "metrics": "metric",
        "artifacts": "artifact",
    }
    equal = {section: found.totals[section] - n for section, n in _counts(found).items()}
    named = [plural(equal[section], word) for section, word in words.items() if equal[section]]
    return f"equal: {', '.join(named) or 'nothing'}"
