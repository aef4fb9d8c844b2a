"""Checks runs of the database against each other and against running drivers."""

from __future__ import annotations

from collections.abc import Iterator, Set

from sweeper.records import TrialRow
from sweeper.store.fsck.disagreement import Disagreement, best_run, display_name
from sweeper.store.fsck.evidence import Evidence
from sweeper.store.fsck.inspection import ENDED, StoredRun
from sweeper.store.fsck.repair import Delete, End, Relink, Repair, Restore, RunAgain


def check_runs(e: Evidence) -> Iterator[Disagreement]:
    """Runs that are duplicate, unreadable, left running, deleted, or reused from a missing run."""
    outcomes = e.journal.history.outcomes if e.journal else {}
    for key, runs in e.trials.items():
        kept = best_run(e, key) if key else None
        for run in runs:
            if kept and kept.run_id != run.run_id:
                problem = f"run {kept.run_id[:12]} holds the same trial"
                repair = Delete(run.run_id, kept.run_id)
                yield Disagreement(e.sweep, "duplicate", display_name(run), problem, repair)
            elif key not in outcomes and run.row is None:
                again = RunAgain(e.sweep, key, run.run_id, run.trouble) if key else None
                yield Disagreement(e.sweep, "record", display_name(run), run.trouble, again)
            elif key not in outcomes and run.is_running:
                yield from _check_left_running(e, run)
            if run.row and run.row.reused_from and run.row.state in ENDED:
                yield from _check_source(e, run.row)
    yield from _check_deleted(e, outcomes.keys())
    for run in e.runs:
        if run.role == "submission" and run.status == "RUNNING" and not run.deleted:
            yield from _check_left_running(e, run)


def _check_deleted(e: Evidence, judged: Set[str]) -> Iterator[Disagreement]:
    """Results whose only runs were deleted. Those in the journal are checked against it."""
    withdrawn = e.journal.withdrawn if e.journal else set()
    deleted = {
        run.key: run
        for run in e.runs
        if run.deleted and run.role == "trial" and run.row and run.row.state in ENDED
    }
    for key in sorted(deleted.keys() - e.trials.keys() - judged - withdrawn):
        run = deleted[key]
        problem = "was deleted in MLflow"
        yield Disagreement(e.sweep, "deleted", display_name(run), problem, Restore(run.run_id))


def _check_left_running(e: Evidence, run: StoredRun) -> Iterator[Disagreement]:
    """A run that is RUNNING although nobody holds the sweep."""
    is_lost = e.in_store_folder and e.journal is None  # the journal must be rebuilt first
    if e.driver or is_lost:
        return
    repair: Repair = End(run.run_id)
    if run.role == "trial":
        repair = RunAgain(e.sweep, run.key, run.run_id, "its driver died")
    yield Disagreement(
        e.sweep, "running", display_name(run), "RUNNING, and no driver lives", repair
    )


def _check_source(e: Evidence, row: TrialRow) -> Iterator[Disagreement]:
    if row.reused_from in e.live_trials:
        return
    others = [
        run
        for run in e.live_trials.values()
        if run.key == row.key and run.holds_artifacts and run.run_id != row.run_id
    ]
    problem = f"reused from run {row.reused_from[:12]}, which the database does not hold"
    repair: Repair | None = RunAgain(
        e.sweep, row.key, row.run_id, "the run it was taken from is gone"
    )
    advice = ""
    if others:
        repair = Relink(row.run_id, others[0].run_id)
    elif row.reused_from in e.deleted:
        problem = f"reused from run {row.reused_from[:12]}, which was deleted"
        repair = Restore(row.reused_from)
    elif source := e.sources.sweep_of(row.reused_from):
        repair, advice = None, f"'sweeper fsck --repair {source}' ships it from its journal"
    where = f"trial {row.label} (run {row.run_id[:12]})"
    yield Disagreement(e.sweep, "source", where, problem, repair, advice)
