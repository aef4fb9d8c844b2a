"""Compares journal and database for one finished trial, value by value."""

from __future__ import annotations

from typing import Any

from sweeper.records import Outcome, TrialRow, TrialSpec, flat_params
from sweeper.store.differences import same
from sweeper.store.fsck.inspection import StoredRun
from sweeper.store.run_record import MAX_TAG_CHARS


def unequal(spec: TrialSpec, outcome: Outcome, run: StoredRun) -> list[str]:
    """One line per value that differs between database and journal."""
    assert run.row is not None
    journal, database = _as_journaled(spec, outcome), _as_stored(run.row)
    lines = [
        _line(name, journal.get(name), database.get(name))
        for name in {**journal, **database}
        if journal.get(name) != database.get(name)
    ]
    if run.row.state == outcome.state and run.status != run.expected_status:
        lines.append(f"status: {run.status} in MLflow, {run.expected_status} is {outcome.state}")
    for name in {**outcome.metrics, **run.row.metrics}:
        left, right = outcome.metrics.get(name), run.row.metrics.get(name)
        if not same(left, right):
            lines.append(_line(f"metric {name}", left, right))
    return lines


def _line(name: str, left: Any, right: Any) -> str:
    return f"{name}: {_short(left)} in the journal, {_short(right)} in the database"


def _as_journaled(spec: TrialSpec, outcome: Outcome) -> dict[str, Any]:
    return {
        "state": str(outcome.state),
        "uncertified": outcome.uncertified[:MAX_TAG_CHARS],
        "error": outcome.error[:MAX_TAG_CHARS],
        "kind": f"{spec.kind} version {spec.kind_version}",
        **{f"config {name}": value for name, value in flat_params(spec.config).items()},
        **{f"input {name}": digest for name, digest in spec.input_digests.items()},
        **{f"fact {name}": text for name, text in outcome.facts.items()},
        **{f"provenance {name}": text for name, text in outcome.provenance.items()},
        **{f"recorded artifact {a.path}": a.sha256 for a in outcome.artifacts},
    }


def _as_stored(row: TrialRow) -> dict[str, Any]:
    named = {
        f"input {name.removeprefix('input.')}"
        if name.startswith("input.")
        else f"provenance {name}": text
        for name, text in row.provenance.items()
    }
    return {
        "state": str(row.state),
        "uncertified": row.uncertified,
        "error": row.error,
        "kind": f"{row.kind} version {row.kind_version}",
        **{f"config {name}": value for name, value in row.params.items()},
        **named,
        **{f"fact {name}": text for name, text in row.facts.items()},
        **{f"recorded artifact {a.path}": a.sha256 for a in row.artifacts},
    }


def _short(value: Any) -> str:
    text = "nothing" if value is None else repr(value) if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else text[:59] + "…"
