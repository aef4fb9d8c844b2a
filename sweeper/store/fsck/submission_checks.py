"""Submissions: their files, the last report, and folders of artifacts whose runs nobody knows."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sweeper.store.fsck.disagreement import Disagreement, name_of
from sweeper.store.fsck.evidence import Evidence
from sweeper.store.fsck.inspection import StoredRun
from sweeper.store.fsck.repair import CopyBack, Repair, RepairContext

_CLOSED = ("FINISHED", "FAILED")  # MLflow's words for a submission that came to its end


@dataclass(frozen=True)
class RestoreSubmissions:
    """Make the runs of submissions again from the files that they left."""

    folders: tuple[Path, ...]
    text = "makes their runs again"

    def apply(self, context: RepairContext) -> None:
        """Make each under the id that its folder tells."""
        for folder in self.folders:
            context.editor.restore_submission(context.evidence.sweep, folder / "artifacts")


@dataclass(frozen=True)
class UnlistFile:
    """Take a file that is lost off the list of a submission."""

    run: StoredRun
    path: str
    instead: str

    @property
    def text(self) -> str:
        """What it does."""
        return f"takes it off the list of its submission; {self.instead}"

    def apply(self, context: RepairContext) -> None:
        """Write the list anew."""
        context.editor.unlist_file(self.run, self.path)


@dataclass(frozen=True)
class FetchFile:
    """Put a file of the last submission back into the folder of its sweep."""

    run: StoredRun
    path: str
    text = "copies it from the last submission"

    def apply(self, context: RepairContext) -> None:
        """Write it whole or not at all."""
        target = context.evidence.folder / self.path
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(f"{target.name}.partial")
        with context.inspection.local_copy(self.run, self.path) as file:
            shutil.copyfile(file, aside)
        aside.replace(target)


def of_orphans(e: Evidence) -> Iterator[Disagreement]:
    """Folders of artifacts that belong to no run."""
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


def of_submissions(e: Evidence) -> Iterator[Disagreement]:
    """Files of submissions that are missing or changed, and the copies of the last one here."""
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
            where = f"{name_of(run)} {path}"
            yield Disagreement(e.sweep, "report", where, damage.problem, repair)
    ours = [run for run in submissions if run.status in _CLOSED and (e.is_home or run.is_ours)]
    if ours and not e.driver:
        yield from _of_last(e, ours[-1])


def _of_last(e: Evidence, last: StoredRun) -> Iterator[Disagreement]:
    for path in ("report.html", f"{e.sweep}.yaml"):
        is_there = path in {file.path for file in last.files}
        if last.folder:  # an older version listed no files
            is_there = (last.folder / path).is_file()
        if is_there and not (e.folder / path).exists():
            where = f"sweeps/{e.sweep}/{path}"
            repair = FetchFile(last, path)
            yield Disagreement(e.sweep, "report", where, "is missing", repair)
