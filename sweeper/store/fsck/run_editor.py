"""Single corrections to runs of the tracking store, for repairs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from sweeper.records import TrialState, now_ms
from sweeper.store.fsck.inspection import StoredRun
from sweeper.store.run_format.record import files_tag, files_tag_of
from sweeper.store.tracking import Tracking, make_former_run


class RunEditor:
    """Corrects single runs. The caller holds the sweep's lock."""

    def __init__(self, tracking: Tracking) -> None:
        self._client, self._writer = tracking.results.client, tracking.writer

    def restore(self, run_id: str) -> None:
        """Restore a deleted run, and its experiment if that was deleted too."""
        experiment = self._client.get_experiment(self._client.get_run(run_id).info.experiment_id)
        if experiment.lifecycle_stage == "deleted":
            self._client.restore_experiment(experiment.experiment_id)
        if self._client.get_run(run_id).info.lifecycle_stage == "deleted":
            self._client.restore_run(run_id)

    def delete(self, run_id: str) -> None:
        """Delete a run; MLflow keeps it in its trash."""
        self._client.delete_run(run_id)

    def end(self, run_id: str) -> None:
        """End a run that no driver works on."""
        self._client.set_terminated(run_id, "KILLED")

    def restore_submission(self, sweep: str, folder: Path) -> None:
        """Recreate the run of a submission from its files in `folder`."""
        file = folder / f"{sweep}.yaml"
        at_ms = int(file.stat().st_mtime * 1000)
        text = file.read_text()
        run = make_former_run(
            self._client,
            self._writer.experiment_id(sweep),
            folder.parent.name,
            started_ms=at_ms,
            tags={
                "sweep": sweep,
                "role": "submission",
                **self._writer.source_tags(),
                **submission_tags(text),
                **files_tag(path for path in sorted(folder.iterdir()) if path.is_file()),
            },
            name="submission, restored by fsck",
        )
        self._client.set_terminated(run.info.run_id, "FINISHED", at_ms)

    def unlist_file(self, run: StoredRun, path: str) -> None:
        """Remove a file from the list of a submission."""
        left = tuple(file for file in run.files if file.path != path)
        for name, text in files_tag_of(left).items():
            self._client.set_tag(run.run_id, name, text)

    def requeue(self, run_id: str, reason: str) -> None:
        """Make a trial wait: the next `run` of its sweep continues it."""
        self._writer.log(
            run_id, tags={"state": TrialState.WAITING, "error": reason}, at_ms=now_ms()
        )
        self.end(run_id)

    def set_source(self, run_id: str, source: str) -> None:
        """Set the run from which a reused trial was taken."""
        self._client.set_tag(run_id, "reused_from", source)

    def upload(self, run_id: str, file: Path, path: str) -> None:
        """Store `file` as the artifact `path`; both have the same name."""
        self._writer.store_file(self._client.get_run(run_id), file, path)

    def set_final_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Make `metrics` the latest values of a run: MLflow shows the largest (step, time)."""
        for name, value in metrics.items():
            history = self._client.get_metric_history(run_id, name)
            step = max((metric.step for metric in history), default=0)
            latest = max((metric.timestamp for metric in history), default=now_ms())
            self._writer.log(run_id, metrics={name: value}, at_ms=latest + 1, step=step)


def submission_tags(text: str) -> dict[str, str]:
    """Tags of a submission that depend on its sweep file."""
    declared = yaml.safe_load(text) if text else None
    if not isinstance(declared, dict):
        return {}
    note = declared.get("description", "")
    return {
        "kind": str(declared.get("kind", "")),
        "sweep_file": text,
        "mlflow.note.content": str(note),
    }
