"""One thing that fsck found wrong, and how messages name a trial."""

from __future__ import annotations

from dataclasses import dataclass

from sweeper.records import TrialSpec, TrialState
from sweeper.store.fsck.evidence import Evidence
from sweeper.store.fsck.inspection import StoredRun
from sweeper.store.fsck.repair import Repair

_RANKED_STATES = (TrialState.FAILED, TrialState.PRUNED, TrialState.COMPLETE)


@dataclass(frozen=True)
class Disagreement:
    """One thing that is wrong.

    Attributes:
        what: its type: journal, unshipped, missing, deleted, value, record, duplicate, running,
            source, artifact, unlisted, staging, checkpoint, orphan, report.
        where: the trial, run or path.
        problem: what is wrong there.
        repair: how to repair it; None if only a person can.
        advice: what a person can do.
    """

    sweep: str
    what: str
    where: str
    problem: str
    repair: Repair | None
    advice: str = ""

    @property
    def name(self) -> str:
        """Everything but the repair, as one line."""
        return f"{self.what}: {self.where}: {self.problem}"


def best_run(e: Evidence, key: str) -> StoredRun | None:
    """The run that holds a trial. Of several, prefer a complete, intact, original, shipped one."""
    shipped = e.journal.history.run_ids.get(key, "") if e.journal else ""

    def rank(run: StoredRun) -> tuple[int, bool, bool, bool]:
        row = run.row
        state = _RANKED_STATES.index(row.state) if row and row.state in _RANKED_STATES else -1
        is_whole = row is not None and not e.damaged.get(run.run_id)
        return state, is_whole, bool(row and not row.reused_from), run.run_id == shipped

    return max(e.trials.get(key, ()), key=rank, default=None)


def display_name(thing: StoredRun | TrialSpec) -> str:
    """A trial as messages name it."""
    if isinstance(thing, TrialSpec):
        return f"trial {thing.label} ({thing.key[:12]})"
    label = f"{thing.row.label} " if thing.row else ""
    return f"{thing.role} {label}(run {thing.run_id[:12]})"
