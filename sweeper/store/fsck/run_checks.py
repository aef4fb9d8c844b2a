"""Checks runs and submissions against each other, against running drivers and their files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path

from sweeper.records import TrialRow
from sweeper.store.fsck.disagreement import Disagreement, best_run, display_name
from sweeper.store.fsck.evidence import Evidence
from sweeper.store.fsck.inspection import ENDED, StoredRun
from sweeper.store.fsck.repair import (
    CopyBack,
    Delete,
    End,
    Relink,
    Repair,
    RepairContext,
    Restore,
    RunAgain,
)


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
        if run.deleted
        and not run.removed
        and run.role == "trial"
        and run.row
        and run.row.state in ENDED
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
        e.sweep, "running", display_name(run), "RUNNING, and no driver is active", repair
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
    elif row.reused_from in e.removed:
        problem = f"reused from run {row.reused_from[:12]}, which was removed"
    elif row.reused_from in e.deleted:
        problem = f"reused from run {row.reused_from[:12]}, which was deleted"
        repair = Restore(row.reused_from)
    elif source := e.sources.sweep_of(row.reused_from):
        repair, advice = None, f"'sweeper fsck --repair {source}' ships it from its journal"
    where = f"trial {row.label} (run {row.run_id[:12]})"
    yield Disagreement(e.sweep, "source", where, problem, repair, advice)


_CLOSED = ("FINISHED", "FAILED")  # MLflow's status of a submission that ended normally


@dataclass(frozen=True)
class RestoreSubmissions:
    """Recreate the runs of submissions from their files."""

    folders: tuple[Path, ...]
    text = "recreates their runs"

    def apply(self, context: RepairContext) -> None:
        """Recreate each under its former id, the name of its folder."""
        for folder in self.folders:
            context.editor.restore_submission(context.evidence.sweep, folder / "artifacts")


@dataclass(frozen=True)
class UnlistFile:
    """Remove a lost file from the list of a submission."""

    run: StoredRun
    path: str
    instead: str

    @property
    def text(self) -> str:
        """What it does."""
        return f"removes it from the list of its submission; {self.instead}"

    def apply(self, context: RepairContext) -> None:
        """Rewrite the list."""
        context.editor.unlist_file(self.run, self.path)


@dataclass(frozen=True)
class FetchFile:
    """Copy a file of the latest submission back into the sweep's folder."""

    run: StoredRun
    path: str
    text = "copies it from the last submission"

    def apply(self, context: RepairContext) -> None:
        """Write it atomically."""
        target = context.evidence.folder / self.path
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(f"{target.name}.partial")
        with context.inspection.local_copy(self.run, self.path) as file:
            shutil.copyfile(file, aside)
        aside.replace(target)


def check_orphans(e: Evidence) -> Iterator[Disagreement]:
    """Artifact folders that belong to no run."""
    lost = [path for path in e.orphans if (path / "artifacts" / f"{e.sweep}.yaml").is_file()]
    if lost:
        n_lost = f"{len(lost)} submission{'s' if len(lost) > 1 else ''}"
        problem = f"files of {n_lost} that the database does not hold"
        where = f"artifacts/{e.sweep}"
        yield Disagreement(e.sweep, "orphan", where, problem, RestoreSubmissions(tuple(lost)))
    for path in e.orphans:
        if path not in lost:
            files = [file for file in path.rglob("*") if file.is_file()]
            n_bytes = sum(file.stat().st_size for file in files)
            held = f"{len(files)} files ({n_bytes:,} bytes)"
            problem = f"{held} of a run that neither database nor journal knows"
            advice = "remove the folder if nothing in it is wanted"
            where = f"artifacts/{e.sweep}/{path.name}"
            yield Disagreement(e.sweep, "orphan", where, problem, None, advice)


def check_submissions(e: Evidence) -> Iterator[Disagreement]:
    """Missing or changed files of submissions, and the sweep folder's copies of the latest ones."""
    submissions = [run for run in e.runs if run.role == "submission" and not run.deleted]
    for run in submissions:
        for damage in e.damaged.get(run.run_id, ()):
            path, copy = damage.artifact.path, e.copy_of(damage)
            instead = f"'sweeper report {e.sweep}' writes a new one"
            if path != "report.html":
                instead = "its text is in the run's tag 'sweep_file'"
            repair: Repair = UnlistFile(run, path, instead)
            if copy:
                repair = CopyBack(run.run_id, damage.artifact, copy)
            where = f"{display_name(run)} {path}"
            yield Disagreement(e.sweep, "report", where, damage.problem, repair)
    ours = [
        run for run in submissions if run.status in _CLOSED and (e.in_store_folder or run.is_ours)
    ]
    if ours and not e.driver:
        yield from _check_last(e, ours[-1])


def _check_last(e: Evidence, last: StoredRun) -> Iterator[Disagreement]:
    for path in ("report.html", f"{e.sweep}.yaml"):
        is_there = path in {file.path for file in last.files}
        if last.folder:  # an older version listed no files
            is_there = (last.folder / path).is_file()
        if is_there and not (e.folder / path).exists():
            where = f"sweeps/{e.sweep}/{path}"
            repair = FetchFile(last, path)
            yield Disagreement(e.sweep, "report", where, "is missing", repair)
