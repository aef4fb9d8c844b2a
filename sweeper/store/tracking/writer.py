"""What every write to a tracking store goes through: experiments, batches, what a refusal means."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mlflow.entities import Experiment, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException, RestException
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from sweeper.errors import DiskFull, UserError, disk_full_named, lacks_space, one_line
from sweeper.records import Outcome
from sweeper.store.artifacts import put_file, verify
from sweeper.store.lease import Slot, user_name
from sweeper.store.location import Store
from sweeper.store.run_record import MAX_TAG_CHARS
from sweeper.store.tracking.lease_slot import DatabaseSlot, ServerSlot
from sweeper.store.tracking.results import Results

# MLflow takes 1000 values a call, of them 100 params and 100 tags.
METRICS_A_CALL, _OTHERS_A_CALL = 800, 100
# What no later attempt would change. From a server it counts only in MLflow's own words: a proxy
# says such things while the server restarts.
_FOR_GOOD = {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE"}
# Without it the UI takes a sweep for a collection of chat traces.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}


class Writing(Results):
    """Reads a store and writes to it; what is written, `Tracking` knows."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._experiments: dict[str, str] = {}
        # The experiment of each run that a trial reads, "" where the store shows no such run.
        self._parents: dict[str, str] = {}

    def lease_slot(self, sweep: str, *, make: bool = True) -> Slot:
        """Where the lease of a sweep lies; unless `make`, it can only be read.

        Raises:
            UserError: the store does not answer.
        """
        with self.answering():
            if make:
                self._experiment_id(sweep)
            store = self._client._tracking_client.store
        if isinstance(store, SqlAlchemyStore):
            return DatabaseSlot(self._client, sweep, store)
        return ServerSlot(self._client, sweep)

    def _experiment_id(self, sweep: str) -> str:
        if sweep not in self._experiments:
            found = self._client.get_experiment_by_name(sweep)
            self._experiments[sweep] = found.experiment_id if found else self._create(sweep)
        return self._experiments[sweep]

    def _create(self, sweep: str) -> str:
        location = f"{self.store.artifact_root}/{sweep}" if self.store.artifact_root else None
        try:
            return str(
                self._client.create_experiment(
                    sweep, artifact_location=location, tags=EXPERIMENT_TAGS
                )
            )
        except MlflowException:
            # Another driver may have made it in between.
            found: Experiment | None = self._client.get_experiment_by_name(sweep)
            if found is None:
                raise
            return str(found.experiment_id)

    def _find(self, experiment: str, key: str) -> Run | None:
        """The run of a trial. A server that answers late may have made several: one is kept."""
        runs = self._client.search_runs([experiment], f"tags.trial_key = '{key}'", max_results=50)
        if not runs:
            return None
        kept, *others = sorted(runs, key=_precedence)
        for run in others:
            self._client.delete_run(run.info.run_id)
        return kept

    def _source_tags(self) -> dict[str, str]:
        return {
            "mlflow.user": user_name(),
            "mlflow.source.name": "sweeper",
            "mlflow.source.type": "LOCAL",
            **self.store_tags,
        }

    @property
    def store_tags(self) -> dict[str, str]:
        """What names this machine and store folder in the runs that its drivers write."""
        return {"driver_host": os.uname().nodename, "driver_store": str(self.store.root)}

    @contextmanager
    def _accepted(self) -> Iterator[None]:
        """Around writes: tell what is refused for good, and a full disk, from what may pass."""
        try:
            yield
        except MlflowException as error:
            self._experiments.clear()  # the store may have been replaced
            self._parents.clear()
            said = one_line(str(error), 300)
            if self.store.is_local_file and lacks_space(error):
                raise DiskFull(self.store.database) from error
            if self._is_for_good(error):
                raise UserError(f"the store refuses it: {said}", where=self.store.shown) from error
            raise

    def _is_for_good(self, error: MlflowException) -> bool:
        """Whether no later attempt would go better."""
        in_its_words = isinstance(error, RestException) or bool(self.store.artifact_root)
        return error.error_code in _FOR_GOOD and in_its_words

    def _log_artifacts(self, run: Run, outcome: Outcome, staged: Path) -> None:
        for artifact in outcome.artifacts:
            self._store_file(run, verify(staged / artifact.path, artifact), artifact.path)

    def _store_file(self, run: Run, file: Path, path: str) -> None:
        """Store a file as the artifact `path`; its name is the last part of `path`.

        A store folder is written by its own path: the location that MLflow recorded may be that
        of the folder which this one was copied from.
        """
        with disk_full_named(self.store.artifact_root or self.store.shown):
            own = self.store.own_artifact_folder(str(run.info.artifact_uri))
            if self.store.is_folder and own:
                put_file(file, own / path)
                return
            folder = str(Path(path).parent)
            self._client.log_artifact(run.info.run_id, str(file), None if folder == "." else folder)

    def _log(
        self,
        run_id: str,
        *,
        metrics: Mapping[str, float] | None = None,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        at_ms: int,
        step: int = 0,
    ) -> None:
        values = [Metric(k, v, at_ms, step) for k, v in (metrics or {}).items()]
        param_list = [Param(k, v) for k, v in (params or {}).items()]
        tag_list = [RunTag(k, str(v)[:MAX_TAG_CHARS]) for k, v in (tags or {}).items()]
        while values or param_list or tag_list:
            self._client.log_batch(
                run_id,
                metrics=values[:METRICS_A_CALL],
                params=param_list[:_OTHERS_A_CALL],
                tags=tag_list[:_OTHERS_A_CALL],
            )
            del values[:METRICS_A_CALL], param_list[:_OTHERS_A_CALL], tag_list[:_OTHERS_A_CALL]


def _precedence(run: Run) -> tuple[bool, int, int, str]:
    """Ended runs first, then what holds more, then by age: one is kept, whoever looks."""
    info, data = run.info, run.data
    n_values = len(data.params) + len(data.metrics)
    return info.status == "RUNNING", -n_values, int(info.start_time or 0), str(info.run_id)
