"""What fsck can mend, each a small value that says what it does and does it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from sweeper.records import Artifact
from sweeper.store.artifacts import StagingArea, sha256_of, verify
from sweeper.store.differences import same
from sweeper.store.fsck.evidence import Copy, Evidence
from sweeper.store.fsck.inspection import Inspection, submission_tags
from sweeper.store.journal import Abandoned, Event, Journal, Shipped, key_of


class Workshop(NamedTuple):
    """What a repair works with.

    `journal` is None where there is none; `begin_journal()` makes one.
    """

    evidence: Evidence
    inspection: Inspection
    journal: Journal | None
    staging: StagingArea
    begin_journal: Callable[[], Journal]

    def note(self, *events: Event) -> None:
        """Write to the journal, if there is one."""
        if self.journal:
            self.journal.append(*events)


class Repair(Protocol):
    """One thing that sets a disagreement right."""

    @property
    def text(self) -> str:
        """What it does, after `--repair`."""

    def apply(self, shop: Workshop) -> None:
        """Do it; doing it twice changes nothing."""


@dataclass(frozen=True)
class RewriteJournal:
    """Drop what cannot be read, and the records of the trials `lost`: nothing declares them.

    `copy` is the name under which the journal as it is stays.
    """

    copy: str
    lost: frozenset[str] = frozenset()

    @property
    def text(self) -> str:
        """What it does."""
        return f"drops it, and keeps the old journal as {self.copy}"

    def apply(self, shop: Workshop) -> None:
        """Write the journal anew."""
        assert shop.journal is not None
        shop.journal.keep_only(lambda event: key_of(event) not in self.lost)


@dataclass(frozen=True)
class MoveTorn:
    """Cut a half record off the end of the journal."""

    text = "moves it to journal.torn"

    def apply(self, shop: Workshop) -> None:
        """Nothing is left to do: opening the journal does it."""


@dataclass(frozen=True)
class Ship:
    """Make the database hold a trial of the journal, with its progress and artifacts.

    `fetched` are artifacts that are not staged, or not whole, with where they lie.
    """

    key: str
    fetched: tuple[tuple[Artifact, Copy], ...] = ()
    text = "ships it from the journal"

    def apply(self, shop: Workshop) -> None:
        """Complete the staged artifacts, then ship as the flusher does."""
        if not self._is_in_place(shop):
            folder = shop.staging.folder(self.key)
            for artifact, copy in self.fetched:
                _fetch(shop, copy, artifact, folder / artifact.path)
            _ship(shop, self.key, folder if folder.exists() else None)
        else:
            _ship(shop, self.key, None)
        shop.staging.drop(self.key)

    def _is_in_place(self, shop: Workshop) -> bool:
        """Whether the run takes up its former id, and its artifacts lie whole in its folder."""
        assert shop.evidence.journal is not None
        history = shop.evidence.journal.history
        run_id, artifacts = history.run_ids.get(self.key, ""), history.outcomes[self.key].artifacts
        if not run_id or run_id in {run.run_id for run in shop.evidence.runs}:
            return False
        folder = shop.inspection.take_up(shop.evidence.sweep, self.key, run_id)
        return folder is not None and all(_holds(folder, artifact) for artifact in artifacts)


@dataclass(frozen=True)
class Overwrite:
    """Make a run that is in the database say what the journal says."""

    key: str
    text = "writes what the journal says"

    def apply(self, shop: Workshop) -> None:
        """Ship it again; its artifacts are judged by themselves."""
        _ship(shop, self.key, None)


@dataclass(frozen=True)
class NoteShipped:
    """Tell the journal what the database holds."""

    key: str
    run_id: str
    text = "notes that in the journal"

    def apply(self, shop: Workshop) -> None:
        """Append the record that is missing."""
        shop.note(Shipped(key=self.key, run_id=self.run_id))
        shop.staging.drop(self.key)


@dataclass(frozen=True)
class RunAgain:
    """Nothing holds the result any more: the next `run` of the sweep makes it again."""

    sweep: str
    key: str
    run_id: str
    reason: str

    @property
    def text(self) -> str:
        """What it does."""
        return f"makes it wait: the next 'sweeper run {self.sweep}' runs it again"

    def apply(self, shop: Workshop) -> None:
        """Withdraw the outcome on both sides; the run id stays."""
        if self.run_id:
            shop.inspection.requeue(self.run_id, self.reason)
        shop.note(
            Abandoned(key=self.key, reason=self.reason), Shipped(key=self.key, run_id=self.run_id)
        )
        shop.staging.drop(self.key)


@dataclass(frozen=True)
class Restore:
    """Take a run out of MLflow's bin."""

    run_id: str
    text = "takes it out of MLflow's bin"

    def apply(self, shop: Workshop) -> None:
        """Restore the run."""
        shop.inspection.restore(self.run_id)


@dataclass(frozen=True)
class Delete:
    """Put a run into MLflow's bin."""

    run_id: str
    kept: str

    @property
    def text(self) -> str:
        """What it does."""
        return f"keeps run {self.kept[:12]} and puts this one into MLflow's bin"

    def apply(self, shop: Workshop) -> None:
        """Delete the run softly."""
        shop.inspection.delete(self.run_id)


@dataclass(frozen=True)
class End:
    """End a submission that nobody works on."""

    run_id: str
    text = "ends it as KILLED"

    def apply(self, shop: Workshop) -> None:
        """Set its status."""
        shop.inspection.end(self.run_id)


@dataclass(frozen=True)
class Relink:
    """Name another run of the same trial as the source of a reused one."""

    run_id: str
    source: str

    @property
    def text(self) -> str:
        """What it does."""
        return f"names run {self.source[:12]} of the same trial"

    def apply(self, shop: Workshop) -> None:
        """Set the tag."""
        shop.inspection.relink(self.run_id, self.source)


@dataclass(frozen=True)
class CopyBack:
    """Store a damaged artifact again from where it lies whole."""

    run_id: str
    artifact: Artifact
    copy: Copy

    @property
    def text(self) -> str:
        """What it does."""
        return f"copies it from {self.copy}"

    def apply(self, shop: Workshop) -> None:
        """Fetch, verify, store."""
        whole = shop.staging.root / ".fsck.partial" / Path(self.artifact.path).name
        try:
            _fetch(shop, self.copy, self.artifact, whole)
            shop.inspection.upload(self.run_id, whole, self.artifact.path)
        finally:
            shutil.rmtree(whole.parent, ignore_errors=True)


@dataclass(frozen=True)
class Remove:
    """Remove a folder that nothing needs."""

    folder: Path
    text = "removes it"

    def apply(self, shop: Workshop) -> None:
        """Remove it."""
        shutil.rmtree(self.folder)


def _ship(shop: Workshop, key: str, staged: Path | None) -> None:
    """Ship an outcome, and let no value that was logged later stand above it."""
    assert shop.evidence.journal is not None
    history = shop.evidence.journal.history
    outcome = history.outcomes[key]
    reports = [report for report in history.reports if report.key == key]
    run_id = shop.inspection.finish_trial(
        shop.evidence.sweep,
        _parent(shop),
        history.specs[key],
        outcome,
        staged if outcome.artifacts else None,
        history.sources.get(key, ""),
        step=max((report.step for report in reports), default=-1) + 1,
    )
    if reports:
        shop.inspection.report_progress(run_id, reports)
    stored = shop.inspection.metrics(run_id)
    shop.inspection.overrule(
        run_id, {n: v for n, v in outcome.metrics.items() if not same(v, stored.get(n))}
    )
    shop.note(Shipped(key=key, run_id=run_id))


def _holds(folder: Path, artifact: Artifact) -> bool:
    file = folder / artifact.path
    return file.is_file() and sha256_of(file) == artifact.sha256


def _fetch(shop: Workshop, copy: Copy, artifact: Artifact, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if copy.run is None:
        assert copy.folder is not None
        shutil.copyfile(copy.folder / copy.path, target)
    else:
        with shop.inspection.local_copy(copy.run, copy.path) as file:
            shutil.copyfile(file, target)
    verify(target, artifact)


def _parent(shop: Workshop) -> str:
    """The newest submission of the sweep; one is opened for repairs where there is none."""
    runs = [r for r in shop.evidence.runs if r.role == "submission" and not r.deleted]
    if runs:
        return str(runs[-1].run_id)
    file = shop.staging.root.parent / f"{shop.evidence.sweep}.yaml"
    tags = submission_tags(file.read_text()) if file.is_file() else {}
    run_id = shop.inspection.open_submission(shop.evidence.sweep, "fsck", tags)
    shop.inspection.end(run_id)
    return run_id
