"""The tracking store as fsck sees it: deleted and unreadable runs too, and what mends them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sweeper.errors import UserError
from sweeper.records import Artifact, TrialRow, TrialState, now_ms
from sweeper.store.journal import Reported
from sweeper.store.location import Store
from sweeper.store.run_record import files_tag, files_tag_of, listed_files, trial_row
from sweeper.store.scratch import scratch_folder
from sweeper.store.tracking import RUN_STATUS, Tracking, former_artifact_uri, make_former_run

ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED)


@dataclass(frozen=True)
class StoredRun:
    """A run of the tracking store, whatever its condition.

    Attributes:
        role: "trial" or "submission".
        status: MLflow's own word for where it stands.
        deleted: whether it lies in MLflow's bin.
        driver: who ran it, as user@host.
        is_ours: whether its driver wrote the journal in this store folder.
        row: the trial, or None for a submission and for what cannot be read.
        trouble: why it cannot be read.
        artifact_uri: where MLflow says that its artifacts are.
        folder: its artifacts, where they are files here.
        files: what a submission lists as its files.
    """

    run_id: str
    sweep: str
    role: str
    key: str
    status: str
    deleted: bool
    driver: str
    is_ours: bool
    row: TrialRow | None
    trouble: str
    artifact_uri: str
    folder: Path | None
    files: tuple[Artifact, ...] = ()

    @property
    def expected_status(self) -> str:
        """MLflow's word for the state that is recorded."""
        return RUN_STATUS[self.row.state] if self.row else ""

    @property
    def is_running(self) -> bool:
        """Whether it claims that a driver works on it."""
        state = self.row.state if self.row else None
        return self.status == "RUNNING" or state is TrialState.RUNNING

    @property
    def holds_artifacts(self) -> bool:
        """Whether the artifacts of its record must lie with it."""
        return bool(self.row and self.row.state in ENDED and not self.row.reused_from)


class Inspection(Tracking):
    """Reads runs as they are, and sets single things right; the caller holds the sweep's lock."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._former_ids: dict[str, str] = {}  # by key, of trials that are shipped again

    def runs(self) -> list[StoredRun]:
        """Every run of every sweep, oldest first."""
        ours = self.store_tags.items()
        found = [
            _stored(run, sweep, self.store, ours <= run.data.tags.items())
            for sweep, run in self.every_run()
        ]
        return [run for run in found if run.role in ("trial", "submission")]

    def metrics(self, run_id: str) -> dict[str, float]:
        """What the database shows as the metrics of a run."""
        found: dict[str, float] = self._client.get_run(run_id).data.metrics
        return found

    def reports(self, row: TrialRow) -> list[Reported]:
        """The progress that a trial reported; what it ended with stands at a later step."""
        reported: dict[tuple[int, int], dict[str, float]] = {}
        stored = self._client.get_run(row.run_id).to_proto().data.metrics
        last = max((int(metric.step) for metric in stored), default=0)
        for name in (metric.key for metric in stored if metric.step > 0):
            for value in self._client.get_metric_history(row.run_id, name):
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
        with self.answering():
            return dict(_listed(self._repository(run.artifact_uri), ""))

    @contextmanager
    def local_copy(self, run: StoredRun, path: str) -> Iterator[Path]:
        """One artifact as a file here, unverified; what was downloaded is removed afterwards."""
        if run.folder is not None:
            yield run.folder / path
            return
        with scratch_folder("fsck") as folder, self.answering():
            yield self._download(run.artifact_uri, path, folder)

    def restore(self, run_id: str) -> None:
        """Take a run out of MLflow's bin, together with its experiment if that is there too."""
        experiment = self._client.get_experiment(self._client.get_run(run_id).info.experiment_id)
        if experiment.lifecycle_stage == "deleted":
            self._client.restore_experiment(experiment.experiment_id)
        if self._client.get_run(run_id).info.lifecycle_stage == "deleted":
            self._client.restore_run(run_id)

    def delete(self, run_id: str) -> None:
        """Put a run into MLflow's bin."""
        self._client.delete_run(run_id)

    def end(self, run_id: str) -> None:
        """End a run that nobody works on."""
        self._client.set_terminated(run_id, "KILLED")

    def take_up(self, sweep: str, key: str, run_id: str) -> Path | None:
        """Ship the trial `key` as the run that it was, which the database has lost.

        Returns the folder of its artifacts; None where they are no files here, or a server gives
        the run another id.
        """
        uri = former_artifact_uri(self._client, self._experiment_id(sweep), run_id)
        folder = self.store.artifact_folder(uri) if uri else None
        if folder is not None:
            self._former_ids[key] = run_id
        return folder

    def revive_submission(self, sweep: str, folder: Path) -> None:
        """Make the run of a submission again whose files lie in `folder`, with what they tell."""
        file = folder / f"{sweep}.yaml"
        at_ms = int(file.stat().st_mtime * 1000)
        text = file.read_text()
        run = make_former_run(
            self._client,
            self._experiment_id(sweep),
            folder.parent.name,
            started_ms=at_ms,
            tags={
                "sweep": sweep,
                "role": "submission",
                **self._source_tags(),
                **submission_tags(text),
                **files_tag(path for path in sorted(folder.iterdir()) if path.is_file()),
            },
            name="submission, restored by fsck",
        )
        self._client.set_terminated(run.info.run_id, "FINISHED", at_ms)

    def strike(self, run: StoredRun, path: str) -> None:
        """Take a file off the list of a submission."""
        left = tuple(file for file in run.files if file.path != path)
        for name, text in files_tag_of(left).items():
            self._client.set_tag(run.run_id, name, text)

    def requeue(self, run_id: str, reason: str) -> None:
        """Make a trial wait: the next `run` of its sweep continues it."""
        self._log(run_id, tags={"state": TrialState.WAITING, "error": reason}, at_ms=now_ms())
        self.end(run_id)

    def relink(self, run_id: str, source: str) -> None:
        """Name another run that a reused trial was taken from."""
        self._client.set_tag(run_id, "reused_from", source)

    def upload(self, run_id: str, file: Path, path: str) -> None:
        """Store `file` as the artifact `path`; both have the same name."""
        self._store_file(self._client.get_run(run_id), file, path)

    def overrule(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Make `metrics` the run's last word: MLflow shows the largest (step, time) of a name."""
        for name, value in metrics.items():
            history = self._client.get_metric_history(run_id, name)
            step = max((metric.step for metric in history), default=0)
            latest = max((metric.timestamp for metric in history), default=now_ms())
            self._log(run_id, metrics={name: value}, at_ms=latest + 1, step=step)

    def _create_run(
        self, experiment: str, started_ms: int, tags: Mapping[str, str], name: str
    ) -> Any:
        if run_id := self._former_ids.pop(tags["trial_key"], ""):
            return make_former_run(
                self._client, experiment, run_id, started_ms=started_ms, tags=tags, name=name
            )
        return super()._create_run(experiment, started_ms, tags, name)


def _listed(repository: Any, folder: str) -> Iterator[tuple[str, int]]:
    """Path and size in bytes of every file that an artifact repository keeps of a run."""
    for entry in repository.list_artifacts(folder or None):
        if entry.is_dir:
            yield from _listed(repository, entry.path)
        else:
            yield entry.path, int(entry.file_size or 0)


def submission_tags(text: str) -> dict[str, str]:
    """What a submission's run carries of its sweep file."""
    declared = yaml.safe_load(text) if text else None
    if not isinstance(declared, dict):
        return {}
    note = declared.get("description", "")
    return {
        "kind": str(declared.get("kind", "")),
        "sweep_file": text,
        "mlflow.note.content": str(note),
    }


def _stored(run: Any, sweep: str, store: Store, is_ours: bool) -> StoredRun:
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
        driver=f"{tags.get('mlflow.user', '')}@{tags.get('driver_host', '')}",
        is_ours=is_ours,
        row=row,
        trouble=trouble,
        artifact_uri=str(info.artifact_uri),
        folder=store.artifact_folder(str(info.artifact_uri)),
        files=listed_files(tags),
    )


def _read(run: Any, sweep: str) -> tuple[TrialRow | None, str]:
    """The trial that a run holds, or why it cannot be told."""
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
