"""The writes that remove: runs, whole sweeps, and artifacts."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlflow.entities import Experiment, Run, ViewType

from sweeper.records import Artifact
from sweeper.store.run_format.record import PRUNED_TAG, REMOVED_TAG, pruned_paths, pruned_tag
from sweeper.store.tracking.results import Results


class Removals:
    """Removes from a tracking store; every call may be repeated. The caller holds the sweep.

    A removal begins with a tag and ends with MLflow's deletion, so an interrupted one can be found
    and finished. What MLflow deletes stays in its trash until `mlflow gc`, without artifacts.
    """

    def __init__(self, results: Results) -> None:
        self._results, self._client = results, results.client

    # ---- runs --------------------------------------------------------------------------

    def begin_run(self, run_id: str) -> None:
        """Note that the run is being removed."""
        with self._results.answering():
            self._client.set_tag(run_id, REMOVED_TAG, _now())

    def end_run(self, run_id: str) -> None:
        """Remove the artifacts of a run, then the run."""
        with self._results.answering():
            run = self._client.get_run(run_id)
            self._drop_folder(run)
            if run.info.lifecycle_stage == "active":
                self._client.delete_run(run_id)

    # ---- sweeps ------------------------------------------------------------------------

    def begin_sweep(self, sweep: str) -> None:
        """Note that the sweep is being removed; one that was deleted in MLflow is restored first.

        Does nothing where there is no such sweep.
        """
        with self._results.answering():
            experiment = self._client.get_experiment_by_name(sweep)
            if experiment is None:
                return
            if experiment.lifecycle_stage == "deleted":
                self._client.restore_experiment(experiment.experiment_id)
            if REMOVED_TAG not in experiment.tags:
                self._client.set_experiment_tag(experiment.experiment_id, REMOVED_TAG, _now())

    def end_sweep(self, sweep: str) -> None:
        """Remove the artifacts of all its runs, then the experiment; its name becomes free."""
        with self._results.answering():
            for experiment in self._half_removed(sweep):
                for run in self._results.search(experiment.experiment_id, "", view=ViewType.ALL):
                    self._drop_folder(run)
                # MLflow gives a name once, also while its experiment is in the trash.
                if experiment.name != (aside := _aside(sweep, experiment)):
                    self._client.rename_experiment(experiment.experiment_id, aside)
                self._client.delete_experiment(experiment.experiment_id)

    def _half_removed(self, sweep: str) -> list[Experiment]:
        return [
            experiment
            for experiment in self._client.search_experiments(view_type=ViewType.ACTIVE_ONLY)
            if REMOVED_TAG in experiment.tags
            and experiment.name in (sweep, _aside(sweep, experiment))
        ]

    # ---- artifacts ---------------------------------------------------------------------

    def prune(self, run_id: str, artifacts: Collection[Artifact]) -> None:
        """Note that some artifacts of a run are no longer stored, then remove the files."""
        with self._results.answering():
            run = self._client.get_run(run_id)
            paths = {artifact.path for artifact in artifacts}
            before = pruned_paths(run.data.tags)
            if not paths <= set(before):
                self._client.set_tag(run_id, PRUNED_TAG, pruned_tag({*before, *paths}))
            folder = self._folder(run)
            if folder is not None:
                for path in paths:
                    (folder / path).unlink(missing_ok=True)
            elif not self._results.store.is_folder:
                self._drop_remote(run, paths)

    def _folder(self, run: Run) -> Path | None:
        """The folder of a run's artifacts that belongs to this store; None if a server has it.

        In a store folder it is never the recorded location: after a copy that is the original's.
        """
        store, uri = self._results.store, str(run.info.artifact_uri)
        return store.own_artifact_folder(uri) if store.is_folder else store.artifact_folder(uri)

    def _drop_folder(self, run: Run) -> None:
        folder = self._folder(run)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):  # not empty: other runs, or what somebody put there
                folder.parent.rmdir()
                folder.parent.parent.rmdir()
        elif not self._results.store.is_folder:
            self._drop_remote(run, None)

    def _drop_remote(self, run: Run, paths: Collection[str] | None) -> None:
        """Delete files that a server or an object store keeps; all of them if `paths` is None."""
        repository = self._results.repository(str(run.info.artifact_uri))
        for path in list(_listed(repository, "")):
            if paths is None or path in paths:
                repository.delete_artifacts(path)


def removed_sweeps(results: Results, *, half: bool = False) -> set[str]:
    """Names of the experiments of removed sweeps; of those whose removal was interrupted."""
    view = ViewType.ACTIVE_ONLY if half else ViewType.ALL
    with results.answering():
        experiments = results.client.search_experiments(view_type=view)
    return {e.name for e in experiments if REMOVED_TAG in e.tags}


def _aside(sweep: str, experiment: Experiment) -> str:
    """What the experiment of a removed sweep is called in MLflow's trash."""
    return f"{sweep} (removed, {experiment.experiment_id})"


def _listed(repository: Any, folder: str) -> Iterator[str]:
    for entry in repository.list_artifacts(folder or None):
        if entry.is_dir:
            yield from _listed(repository, entry.path)
        else:
            yield str(entry.path)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
