"""Repairs: each is a small value that describes itself and can be applied."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from sweeper.records import Artifact
from sweeper.store.artifacts import StagingArea, verify
from sweeper.store.fsck.evidence import Copy, Evidence
from sweeper.store.fsck.inspection import Inspection
from sweeper.store.fsck.run_editor import RunEditor
from sweeper.store.journal import Abandoned, Event, Journal, Shipped, key_of
from sweeper.store.tracking import Tracking


class RepairContext(NamedTuple):
    """What a repair works with.

    `journal` is None if there is none; `begin_journal()` creates one.
    """

    evidence: Evidence
    inspection: Inspection
    tracking: Tracking
    editor: RunEditor
    journal: Journal | None
    staging: StagingArea
    begin_journal: Callable[[], Journal]

    def note(self, *events: Event) -> None:
        """Write to the journal, if there is one."""
        if self.journal:
            self.journal.append(*events)


class Repair(Protocol):
    """A way to repair a disagreement."""

    @property
    def text(self) -> str:
        """What it does, for the line after `--repair`."""

    def apply(self, context: RepairContext) -> None:
        """Do it; doing it twice changes nothing."""


@dataclass(frozen=True)
class RewriteJournal:
    """Remove unreadable lines and the records of the trials `lost`, whose specs are missing.

    `copy` is the name under which the present journal is kept.
    """

    copy: str
    lost: frozenset[str] = frozenset()

    @property
    def text(self) -> str:
        """What it does."""
        return f"drops it, and keeps the old journal as {self.copy}"

    def apply(self, context: RepairContext) -> None:
        """Rewrite the journal."""
        assert context.journal is not None
        context.journal.keep_only(lambda event: key_of(event) not in self.lost)


@dataclass(frozen=True)
class MoveTorn:
    """Move half a record from the end of the journal."""

    text = "moves it to journal.torn"

    def apply(self, context: RepairContext) -> None:
        """Nothing to do: opening the journal has done it."""


@dataclass(frozen=True)
class NoteShipped:
    """Record in the journal that the database holds a trial."""

    key: str
    run_id: str
    text = "records that in the journal"

    def apply(self, context: RepairContext) -> None:
        """Append the record that is missing."""
        context.note(Shipped(key=self.key, run_id=self.run_id))
        context.staging.drop(self.key)


@dataclass(frozen=True)
class RunAgain:
    """The result is lost: the next `run` of the sweep computes it again."""

    sweep: str
    key: str
    run_id: str
    reason: str

    @property
    def text(self) -> str:
        """What it does."""
        return f"discards the result; the next 'sweeper run {self.sweep}' runs it again"

    def apply(self, context: RepairContext) -> None:
        """Withdraw the outcome on both sides; the run id stays."""
        if self.run_id:
            context.editor.requeue(self.run_id, self.reason)
        context.note(
            Abandoned(key=self.key, reason=self.reason), Shipped(key=self.key, run_id=self.run_id)
        )
        context.staging.drop(self.key)


@dataclass(frozen=True)
class Restore:
    """Restore a deleted run."""

    run_id: str
    text = "restores it from MLflow's trash"

    def apply(self, context: RepairContext) -> None:
        """Restore the run."""
        context.editor.restore(self.run_id)


@dataclass(frozen=True)
class Delete:
    """Delete a run; MLflow keeps it in its trash."""

    run_id: str
    kept: str

    @property
    def text(self) -> str:
        """What it does."""
        return f"keeps run {self.kept[:12]} and moves this one to MLflow's trash"

    def apply(self, context: RepairContext) -> None:
        """Delete the run softly."""
        context.editor.delete(self.run_id)


@dataclass(frozen=True)
class End:
    """End a submission that no driver works on."""

    run_id: str
    text = "marks it as KILLED"

    def apply(self, context: RepairContext) -> None:
        """Set its status."""
        context.editor.end(self.run_id)


@dataclass(frozen=True)
class Relink:
    """Name another run of the same trial as the source of a reused one."""

    run_id: str
    source: str

    @property
    def text(self) -> str:
        """What it does."""
        return f"names run {self.source[:12]} of the same trial"

    def apply(self, context: RepairContext) -> None:
        """Set the tag."""
        context.editor.set_source(self.run_id, self.source)


@dataclass(frozen=True)
class CopyBack:
    """Replace a damaged artifact by an intact copy."""

    run_id: str
    artifact: Artifact
    copy: Copy

    @property
    def text(self) -> str:
        """What it does."""
        return f"copies it from {self.copy}"

    def apply(self, context: RepairContext) -> None:
        """Fetch, verify, store."""
        whole = context.staging.root / ".fsck.partial" / Path(self.artifact.path).name
        try:
            fetch_whole(context, self.copy, self.artifact, whole)
            context.editor.upload(self.run_id, whole, self.artifact.path)
        finally:
            shutil.rmtree(whole.parent, ignore_errors=True)


@dataclass(frozen=True)
class Remove:
    """Remove a folder that is no longer needed."""

    folder: Path
    text = "removes it"

    def apply(self, context: RepairContext) -> None:
        """Remove it."""
        shutil.rmtree(self.folder)


def fetch_whole(context: RepairContext, copy: Copy, artifact: Artifact, target: Path) -> None:
    """Copy an artifact from where it is intact to `target`, and verify it there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if copy.run is None:
        assert copy.folder is not None
        shutil.copyfile(copy.folder / copy.path, target)
    else:
        with context.inspection.local_copy(copy.run, copy.path) as file:
            shutil.copyfile(file, target)
    verify(target, artifact)
