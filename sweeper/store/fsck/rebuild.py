"""Rebuilds records of a journal from the database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import yaml

from sweeper.records import Scalar, TrialRow, TrialState
from sweeper.store.fsck.inspection import ENDED, Inspection
from sweeper.store.fsck.repair import RepairContext
from sweeper.store.journal import (
    Abandoned,
    Event,
    Finished,
    History,
    Proposed,
    Reused,
    Shipped,
    Started,
    Suggested,
)


@dataclass(frozen=True)
class CompleteJournal:
    """Add trials to the journal that only the database knows, oldest first."""

    rows: tuple[TrialRow, ...]

    @property
    def text(self) -> str:
        """What it does."""
        return "writes their records from the database"

    def apply(self, context: RepairContext) -> None:
        """Append the records of all trials, or of none."""
        journal = context.evidence.journal
        known = journal.history if journal else History()
        rows = sorted(self.rows, key=lambda row: (row.started_ms, row.run_id))
        proposals = _proposals(rows, _searched(context.inspection, context.evidence.sweep), known)
        events: list[Event] = []
        for row in rows:
            events += filter(None, [proposals.get(row.key)])
            events += _events(row, context.inspection, known)
        (context.journal or context.begin_journal()).append(*events)


def _events(row: TrialRow, inspection: Inspection, known: History) -> Iterator[Event]:
    """The events that its driver would have recorded for a trial."""
    spec = inspection.results.spec(row.run_id)
    shipped = Shipped(key=row.key, run_id=row.run_id, ended_ms=row.ended_ms)
    if row.reused_from and row.state in ENDED:
        yield from (Reused(spec=spec, outcome=row.outcome, run_id=row.reused_from), shipped)
        return
    if row.key not in known.specs:
        yield Suggested(spec=spec)
    if (
        row.key not in known.specs or row.key in known.outcomes
    ):  # otherwise its start is in the journal
        yield Started(key=row.key, at_ms=row.started_ms)
        yield from inspection.reports(row)
    if row.state in ENDED:
        yield from (Finished(outcome=row.outcome), shipped)
    elif row.state is TrialState.WAITING:
        reason = row.error or "its driver ended before it did"
        yield from (Abandoned(key=row.key, reason=reason, at_ms=row.ended_ms), shipped)


def _proposals(
    rows: Sequence[TrialRow], searched: Sequence[str], known: History
) -> dict[str, Proposed]:
    """The proposals of an adaptive search, by the key of the first trial of each."""
    noted = {key for proposed in known.proposals for key in proposed.keys}
    asked: dict[tuple[Scalar, ...], list[TrialRow]] = {}
    for row in rows:
        if searched and set(searched) <= row.params.keys() and not row.is_control:
            asked.setdefault(tuple(row.params[name] for name in searched), []).append(row)
    proposals = {}
    for number, (values, replicates) in enumerate(asked.items(), start=len(known.proposals)):
        keys = tuple(row.key for row in replicates)
        if noted.isdisjoint(keys):
            assignment = dict(zip(searched, values, strict=True))
            proposals[keys[0]] = Proposed(number=number, assignment=assignment, keys=keys)
    return proposals


def _searched(inspection: Inspection, sweep: str) -> tuple[str, ...]:
    """The fields that an adaptive search varies in this sweep; empty for other searches."""
    text, _ = inspection.results.last_submission(sweep)
    declared = yaml.safe_load(text) if text else {}
    search = declared.get("search", {})
    method = search.get("method") if isinstance(search, dict) else search
    return tuple(declared.get("space", {})) if method == "optuna" else ()
