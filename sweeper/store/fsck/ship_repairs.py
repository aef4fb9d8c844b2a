"""Repairs that write a trial from the journal to the database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sweeper.records import Artifact
from sweeper.store.artifacts import sha256_of
from sweeper.store.differences import same
from sweeper.store.fsck.evidence import Copy
from sweeper.store.fsck.repair import RepairContext, fetch_whole
from sweeper.store.fsck.run_editor import submission_tags
from sweeper.store.journal import Shipped


@dataclass(frozen=True)
class Ship:
    """Write a trial of the journal to the database, with its progress and artifacts.

    `fetched` are artifacts that are not staged or are damaged, each with an intact copy.
    """

    key: str
    fetched: tuple[tuple[Artifact, Copy], ...] = ()
    text = "ships it from the journal"

    def apply(self, context: RepairContext) -> None:
        """Complete the staged artifacts, then ship as the flusher does."""
        if not self._is_in_place(context):
            folder = context.staging.folder(self.key)
            for artifact, copy in self.fetched:
                fetch_whole(context, copy, artifact, folder / artifact.path)
            _ship(context, self.key, folder if folder.exists() else None)
        else:
            _ship(context, self.key, None)
        context.staging.drop(self.key)

    def _is_in_place(self, context: RepairContext) -> bool:
        """Whether the run gets its former id and its artifacts are intact in its folder."""
        assert context.evidence.journal is not None
        history = context.evidence.journal.history
        run_id, artifacts = history.run_ids.get(self.key, ""), history.outcomes[self.key].artifacts
        if not run_id or run_id in {run.run_id for run in context.evidence.runs}:
            return False
        folder = context.tracking.restore_run_id(context.evidence.sweep, self.key, run_id)
        return folder is not None and all(_holds(folder, artifact) for artifact in artifacts)


@dataclass(frozen=True)
class Overwrite:
    """Overwrite a run in the database with the values of the journal."""

    key: str
    text = "writes the values of the journal"

    def apply(self, context: RepairContext) -> None:
        """Ship it again. Its artifacts are checked separately."""
        _ship(context, self.key, None)


def _ship(context: RepairContext, key: str, staged: Path | None) -> None:
    """Ship an outcome, and make its metrics the latest values of the run."""
    assert context.evidence.journal is not None
    history = context.evidence.journal.history
    outcome = history.outcomes[key]
    reports = [report for report in history.reports if report.key == key]
    run_id = context.tracking.finish_trial(
        context.evidence.sweep,
        _parent(context),
        history.specs[key],
        outcome,
        staged if outcome.artifacts else None,
        history.sources.get(key, ""),
        step=max((report.step for report in reports), default=-1) + 1,
    )
    if reports:
        context.tracking.report_progress(run_id, reports)
    stored = context.inspection.metrics(run_id)
    context.editor.set_final_metrics(
        run_id, {n: v for n, v in outcome.metrics.items() if not same(v, stored.get(n))}
    )
    context.note(Shipped(key=key, run_id=run_id))


def _holds(folder: Path, artifact: Artifact) -> bool:
    file = folder / artifact.path
    return file.is_file() and sha256_of(file) == artifact.sha256


def _parent(context: RepairContext) -> str:
    """The newest submission of the sweep; a new one if there is none."""
    runs = [r for r in context.evidence.runs if r.role == "submission" and not r.deleted]
    if runs:
        return str(runs[-1].run_id)
    file = context.staging.root.parent / f"{context.evidence.sweep}.yaml"
    tags = submission_tags(file.read_text()) if file.is_file() else {}
    run_id = context.tracking.open_submission(context.evidence.sweep, "fsck", tags)
    context.editor.end(run_id)
    return run_id
