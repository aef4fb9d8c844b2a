"""Checks submissions: their files, the latest report, and artifact folders without a run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sweeper.store.fsck.disagreement import Disagreement, display_name
from sweeper.store.fsck.evidence import Evidence
from sweeper.store.fsck.inspection import StoredRun
from sweeper.store.fsck.repair import CopyBack, Repair, RepairContext

_CLOSED = ("FINISHED", "FAILED")  # MLflow's status of a submission that ended normally


@dataclass(frozen=True)
class RestoreSubmissions:
    """Recreate the runs of submissions from their files."""

    folders: tuple[Path, ...]
    text = "makes their runs again"

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
        return f"takes it off the list of its submission; {self.instead}"

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
            instead = f"'sweeper report {e.sweep}' makes a new one"
            if path != "report.html":
                instead = "its text stands in the run's tag 'sweep_file'"
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
