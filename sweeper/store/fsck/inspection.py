"""Runs of the tracking store in any condition: deleted, unreadable, left running."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeper.errors import UserError
from sweeper.records import Artifact, TrialRow, TrialState
from sweeper.store.journal import Reported
from sweeper.store.location import Store
from sweeper.store.run_format.record import REMOVED_TAG, listed_files, trial_row
from sweeper.store.scratch import scratch_folder
from sweeper.store.tracking import RUN_STATUS, Results, driver_tags, removed_sweeps

ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED)


@dataclass(frozen=True)
class StoredRun:
    """A run of the tracking store in any condition.

    Attributes:
        role: "trial" or "submission".
        status: MLflow's status.
        deleted: whether it was deleted (it is in MLflow's trash).
        removed: whether `sweeper rm` removed it, or began to.
        driver: who ran it, as user@host.
        is_ours: whether its driver wrote the journal in this store folder.
        row: the trial; None for a submission and for an unreadable run.
        trouble: why it is unreadable.
        artifact_uri: location of its artifacts as MLflow recorded it.
        folder: its artifacts, if they are files on this machine.
        files: the files that a submission lists.
    """

    run_id: str
    sweep: str
    role: str
    key: str
    status: str
    deleted: bool
    removed: bool
    driver: str
    is_ours: bool
    row: TrialRow | None
    trouble: str
    artifact_uri: str
    folder: Path | None
    files: tuple[Artifact, ...] = ()

    @property
    def expected_status(self) -> str:
        """MLflow's status for the recorded state."""
        return RUN_STATUS[self.row.state] if self.row else ""

    @property
    def is_running(self) -> bool:
        """Whether it is marked as running."""
        state = self.row.state if self.row else None
        return self.status == "RUNNING" or state is TrialState.RUNNING

    @property
    def holds_artifacts(self) -> bool:
        """Whether the artifacts in its record must be stored with it."""
        return bool(self.row and self.row.state in ENDED and not self.row.reused_from)


class Inspection:
    """Reads runs as they are: deleted and unreadable ones too."""

    def __init__(self, results: Results) -> None:
        self.results = results

    def runs(self) -> list[StoredRun]:
        """Every run of every sweep, oldest first."""
        store = self.results.store
        ours, removed = driver_tags(store).items(), removed_sweeps(self.results)
        runs = [
            _stored(run, sweep, store, ours <= run.data.tags.items(), sweep in removed)
            for sweep, run in self.results.every_run()
        ]
        return [run for run in runs if run.role in ("trial", "submission")]

    def metrics(self, run_id: str) -> dict[str, float]:
        """The metrics of a run as the database shows them."""
        metrics: dict[str, float] = self.results.client.get_run(run_id).data.metrics
        return metrics

    def reports(self, row: TrialRow) -> list[Reported]:
        """The progress reports of a trial, without its final metrics, which have a later step."""
        reported: dict[tuple[int, int], dict[str, float]] = {}
        stored = self.results.client.get_run(row.run_id).to_proto().data.metrics
        last = max((int(metric.step) for metric in stored), default=0)
        for name in (metric.key for metric in stored if metric.step > 0):
            for value in self.results.client.get_metric_history(row.run_id, name):
                if value.step < last or row.state not in ENDED:
                    at = int(value.timestamp), int(value.step)
                    reported.setdefault(at, {})[name] = float(value.value)
        return [
            Reported(key=row.key, step=step, metrics=metrics, at_ms=at_ms)
            for (at_ms, step), metrics in sorted(reported.items())
        ]

    def file_sizes(self, run: StoredRun) -> dict[str, int]:
        """Size in bytes of every artifact file of a run, by path."""
        if run.folder is not None:
            files = (path for path in run.folder.rglob("*") if path.is_file())
            return {p.relative_to(run.folder).as_posix(): p.stat().st_size for p in files}
        with self.results.answering():
            return dict(_listed(self.results.repository(run.artifact_uri), ""))

    @contextmanager
    def local_copy(self, run: StoredRun, path: str) -> Iterator[Path]:
        """One artifact as a local file, unverified. A download is removed afterwards."""
        if run.folder is not None:
            yield run.folder / path
            return
        with scratch_folder("fsck") as folder, self.results.answering():
            yield self.results.download(run.artifact_uri, path, folder)


def _listed(repository: Any, folder: str) -> Iterator[tuple[str, int]]:
    """Path and size in bytes of every file that an artifact repository keeps of a run."""
    for entry in repository.list_artifacts(folder or None):
        if entry.is_dir:
            yield from _listed(repository, entry.path)
        else:
            yield entry.path, int(entry.file_size or 0)


def _stored(
    run: Any, sweep: str, store: Store, is_ours: bool, is_in_removed_sweep: bool
) -> StoredRun:
    info, tags = run.info, run.data.tags
    row, trouble = None, ""
    if tags.get("role") == "trial":
        row, trouble = _read(run, sweep)
    return StoredRun(
        run_id=str(info.run_id),
        sweep=sweep,
        role=tags.get("role", ""),
        key=tags.get("trial_key", ""),
        status=str(info.status),
        deleted=info.lifecycle_stage == "deleted",
        removed=is_in_removed_sweep or REMOVED_TAG in tags,
        driver=f"{tags.get('mlflow.user', '')}@{tags.get('driver_host', '')}",
        is_ours=is_ours,
        row=row,
        trouble=trouble,
        artifact_uri=str(info.artifact_uri),
        folder=store.artifact_folder(str(info.artifact_uri)),
        files=listed_files(tags),
    )


def _read(run: Any, sweep: str) -> tuple[TrialRow | None, str]:
    """The trial of a run, or why it is unreadable."""
    info = run.info
    times = int(info.start_time or 0), int(info.end_time or 0)
    try:
        row = trial_row(info.run_id, sweep, info.run_name, run.data.tags, run.data.metrics, *times)
    except UserError as error:
        return None, error.what
    if not row.key:
        return None, "it names no key"
    if row.state in ENDED and not row.params:
        return None, "its record is gone"
    return row, ""
