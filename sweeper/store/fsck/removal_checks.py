"""Checks removals that were interrupted, and journals that do not know of one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sweeper.records import Artifact
from sweeper.store.fsck.disagreement import Disagreement, display_name
from sweeper.store.fsck.evidence import Evidence
from sweeper.store.fsck.repair import RepairContext
from sweeper.store.journal import Removed
from sweeper.store.removal.remove import drop_work, finish_sweep
from sweeper.store.tracking import Removals


@dataclass(frozen=True)
class FinishSweep:
    """Remove what is left of a sweep."""

    text = "removes the rest of it"

    def apply(self, context: RepairContext) -> None:
        """As `sweeper rm` does."""
        finish_sweep(context.tracking, context.evidence.sweep)


@dataclass(frozen=True)
class FinishRun:
    """Remove what is left of a trial."""

    key: str
    run_id: str
    text = "removes the rest of it"

    def apply(self, context: RepairContext) -> None:
        """As `sweeper rm` does."""
        _note(context, self.key, self.run_id)
        drop_work(context.tracking.store, context.evidence.sweep, self.key)
        Removals(context.tracking.results).end_run(self.run_id)


@dataclass(frozen=True)
class NoteRemoved:
    """Record in the journal that a trial was removed."""

    key: str
    run_id: str
    text = "records that in the journal"

    def apply(self, context: RepairContext) -> None:
        """Append the record that is missing."""
        _note(context, self.key, self.run_id)


@dataclass(frozen=True)
class DropPruned:
    """Remove files that were pruned."""

    run_id: str
    artifacts: tuple[Artifact, ...]
    text = "removes it"

    def apply(self, context: RepairContext) -> None:
        """As `sweeper prune` does."""
        Removals(context.tracking.results).prune(self.run_id, self.artifacts)


def check_removals(e: Evidence) -> Iterator[Disagreement]:
    """Trials and files that are partly removed, and removed trials in the journal."""
    active = {run.key: run for run in e.runs if run.removed and not run.deleted}
    for key, run in active.items():
        problem = "its removal was interrupted"
        repair = FinishRun(key, run.run_id)
        yield Disagreement(e.sweep, "removed", display_name(run), problem, repair)
    for key, run_id in (e.journal.history.run_ids if e.journal else {}).items():
        if run_id in e.removed and key not in active:
            where = f"trial {key[:12]} (run {run_id[:12]})"
            problem = "was removed, and the journal does not say so"
            noted = NoteRemoved(key, run_id)
            yield Disagreement(e.sweep, "removed", where, problem, noted)
    for run in e.runs:
        for artifact in e.leftover.get(run.run_id, ()):
            where = f"{display_name(run)} {artifact.path}"
            drop = DropPruned(run.run_id, (artifact,))
            yield Disagreement(e.sweep, "pruned", where, "was pruned, and its file is there", drop)


def check_half_removed(e: Evidence) -> Iterator[Disagreement]:
    """A sweep whose removal was interrupted: nothing else about it matters."""
    problem = "its removal was interrupted"
    yield Disagreement(e.sweep, "removed", f"sweep {e.sweep}", problem, FinishSweep())


def _note(context: RepairContext, key: str, run_id: str) -> None:
    history = context.evidence.journal.history if context.evidence.journal else None
    if history and key in history.specs and history.run_ids.get(key, run_id) == run_id:
        context.note(Removed(key=key, run_id=run_id))
