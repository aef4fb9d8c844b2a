"""Files: artifacts held against their digests, and folders that nothing needs any more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from sweeper.store.fsck.disagreement import Disagreement, name_of, run_of
from sweeper.store.fsck.evidence import Evidence
from sweeper.store.fsck.repair import CopyBack, NoteShipped, Remove, Repair, RunAgain
from sweeper.store.fsck.ship_repairs import Ship

TRACEBACK = "traceback.txt"
"""What a failed attempt leaves in the folder of a trial that succeeds later."""


def of_artifacts(e: Evidence) -> Iterator[Disagreement]:
    """Artifacts that are not what was recorded, and files that nobody recorded."""
    left = e.journal.left if e.journal else {}
    for run in filter(None, (run_of(e, key) for key in e.trials)):
        if e.driver and e.journal and run.key in e.journal.unshipped:
            continue  # it is being written
        for damage in e.damaged.get(run.run_id, ()):
            path, copy = damage.artifact.path, e.copy_of(damage)
            reason = f"its artifact {path} {damage.problem}"
            repair: Repair = RunAgain(e.sweep, run.key, run.run_id, reason)
            if copy:
                repair = CopyBack(run.run_id, damage.artifact, copy)
            yield Disagreement(
                e.sweep, "artifact", f"{name_of(run)} {path}", damage.problem, repair
            )
        known = {*left.get(run.key, ()), TRACEBACK}
        for path in sorted(set(e.unlisted.get(run.run_id, ())) - known):
            problem = "lies with the trial, and its record does not name it"
            yield Disagreement(e.sweep, "unlisted", f"{name_of(run)} {path}", problem, None)


def of_folders(e: Evidence, repairs: Sequence[Repair | None]) -> Iterator[Disagreement]:
    """Folders that nothing needs any more; one that another repair uses is left to it."""
    needed = {repair.key for repair in repairs if isinstance(repair, Ship | NoteShipped | RunAgain)}
    unfinished = {spec.key for spec in e.journal.history.unfinished} if e.journal else set()
    outcomes = e.journal.history.outcomes if e.journal else {}

    def standing(key: str) -> str:
        if key in outcomes:
            return "has ended"
        return "began, and its end is not in the journal" if key in unfinished else "is not known"

    def useless(what: str, path: Path, problem: str) -> Disagreement:
        where = f"{path.parent.name}/{path.name}"
        return Disagreement(e.sweep, what, where, problem, Remove(path))

    for key in e.staged:
        if key not in needed:
            problem = f"staged artifacts of a trial that {standing(key)}"
            yield useless("staging", e.staging / key, problem)
    for path in e.partial:
        yield useless("staging", path, "staged artifacts that were never written to the end")
    for key, path in e.checkpoints.items():
        if key not in unfinished:
            yield useless("checkpoint", path, f"checkpoint of a trial that {standing(key)}")
