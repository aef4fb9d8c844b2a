"""Checks files: artifacts against their digests, and folders that are no longer needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from sweeper.store.fsck.disagreement import Disagreement, best_run, display_name
from sweeper.store.fsck.evidence import Evidence
from sweeper.store.fsck.repair import CopyBack, NoteShipped, Remove, Repair, RunAgain
from sweeper.store.fsck.ship_repairs import Ship

TRACEBACK = "traceback.txt"
"""A file of a failed attempt, which stays in the folder of a trial that succeeds later."""


def check_artifacts(e: Evidence) -> Iterator[Disagreement]:
    """Artifacts that differ from their record, and files without a record."""
    written = e.journal.artifacts if e.journal else {}
    for run in filter(None, (best_run(e, key) for key in e.trials)):
        if e.driver and e.journal and run.key in e.journal.unshipped:
            continue  # it is being written
        for damage in e.damaged.get(run.run_id, ()):
            path, copy = damage.artifact.path, e.copy_of(damage)
            reason = f"its artifact {path} {damage.problem}"
            repair: Repair = RunAgain(e.sweep, run.key, run.run_id, reason)
            if copy:
                repair = CopyBack(run.run_id, damage.artifact, copy)
            yield Disagreement(
                e.sweep, "artifact", f"{display_name(run)} {path}", damage.problem, repair
            )
        known = {*written.get(run.key, ()), TRACEBACK}
        for path in sorted(set(e.unlisted.get(run.run_id, ())) - known):
            problem = "is in the folder of the trial, but not in its record"
            yield Disagreement(e.sweep, "unlisted", f"{display_name(run)} {path}", problem, None)


def check_folders(e: Evidence, repairs: Sequence[Repair | None]) -> Iterator[Disagreement]:
    """Folders that are no longer needed, except those that another repair uses."""
    needed = {repair.key for repair in repairs if isinstance(repair, Ship | NoteShipped | RunAgain)}
    unfinished = {spec.key for spec in e.journal.history.unfinished} if e.journal else set()
    outcomes = e.journal.history.outcomes if e.journal else {}

    def progress(key: str) -> str:
        if key in outcomes:
            return "has ended"
        return "began, and its end is not in the journal" if key in unfinished else "is not known"

    def useless(what: str, path: Path, problem: str) -> Disagreement:
        where = f"{path.parent.name}/{path.name}"
        return Disagreement(e.sweep, what, where, problem, Remove(path))

    for key in e.staged:
        if key not in needed:
            problem = f"staged artifacts of a trial that {progress(key)}"
            yield useless("staging", e.staging / key, problem)
    for path in e.partial:
        yield useless("staging", path, "staged artifacts that were never written to the end")
    for key, path in e.checkpoints.items():
        if key not in unfinished:
            yield useless("checkpoint", path, f"checkpoint of a trial that {progress(key)}")
