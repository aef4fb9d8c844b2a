"""Every write to a tracking store: experiments, batches of values, files, what a refusal means."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Experiment, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException, RestException
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from sweeper.errors import DiskFull, SweepDeleted, UserError, disk_full_named, lacks_space, one_line
from sweeper.records import Outcome
from sweeper.store.artifacts import put_file, verify
from sweeper.store.differences import same
from sweeper.store.lease import Slot, user_name
from sweeper.store.location import Store
from sweeper.store.run_format.record import MAX_TAG_CHARS
from sweeper.store.tracking.lease_slot import DatabaseSlot, ServerSlot
from sweeper.store.tracking.results import Results

# MLflow accepts 1000 values per call, of which at most 100 params and 100 tags.
METRICS_PER_CALL, _OTHERS_PER_CALL = 800, 100
# Errors that a retry cannot fix. From a server they count only in MLflow's own words: a proxy
# answers with the same codes while the server restarts.
_PERMANENT = {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE"}
# Without this tag the UI shows a sweep as a collection of chat traces.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}


class Writer:
    """Writes single things through the client of a reader. `Tracking` decides what is written."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._experiments: dict[str, str] = {}
        # Experiment of each run that a trial reads, "" if the store shows no such run.
        self._parents: dict[str, str] = {}

    @property
    def _store(self) -> Store:
        return self._results.store

    @property
    def _client(self) -> MlflowClient:
        return self._results.client

    def lease_slot(self, sweep: str) -> Slot:
        """Where the lease of a sweep is kept; creates the sweep's experiment.

        Raises:
            UserError: the store does not answer.
        """
        with self._results.answering():
            self.experiment_id(sweep)
            store = self._client._tracking_client.store
        if isinstance(store, SqlAlchemyStore):
            return DatabaseSlot(self._client, sweep, store)
        return ServerSlot(self._client, sweep)

    def experiment_id(self, sweep: str) -> str:
        """The experiment of a sweep; created if there is none.

        Raises:
            SweepDeleted: it is in MLflow's trash, where it keeps its name.
        """
        if sweep not in self._experiments:
            experiment = self._client.get_experiment_by_name(sweep)
            if experiment is not None and experiment.lifecycle_stage == "deleted":
                raise SweepDeleted(sweep)
            self._experiments[sweep] = (
                experiment.experiment_id if experiment else self._create(sweep)
            )
        return self._experiments[sweep]

    def _create(self, sweep: str) -> str:
        location = f"{self._store.artifact_root}/{sweep}" if self._store.artifact_root else None
        try:
            return str(
                self._client.create_experiment(
                    sweep, artifact_location=location, tags=EXPERIMENT_TAGS
                )
            )
        except MlflowException:
            # Another driver may have created it in the meantime.
            created: Experiment | None = self._client.get_experiment_by_name(sweep)
            if created is None:
                raise
            return str(created.experiment_id)

    def experiment_of(self, run_id: str) -> str:
        """The experiment of a run, "" if the store shows no such run; asked for once."""
        if run_id not in self._parents:
            try:
                self._parents[run_id] = str(self._client.get_run(run_id).info.experiment_id)
            except MlflowException as error:
                # A parent run that this user may not see must not hold a result back.
                if not self.is_permanent(error) and error.error_code != "PERMISSION_DENIED":
                    raise
                self._parents[run_id] = ""
        return self._parents[run_id]

    def keep_one_run(self, experiment: str, key: str) -> Run | None:
        """The run of a trial, if there is one; its duplicates are deleted.

        A server that executes `create_run` after we stopped waiting for it makes a second run.
        """
        runs = self._client.search_runs([experiment], f"tags.trial_key = '{key}'", max_results=50)
        if not runs:
            return None
        kept, *others = sorted(runs, key=_precedence)
        for run in others:
            self._client.delete_run(run.info.run_id)
        return kept

    def source_tags(self) -> dict[str, str]:
        """Who writes a run: user, program, machine and store folder."""
        return {
            "mlflow.user": user_name(),
            "mlflow.source.name": "sweeper",
            "mlflow.source.type": "LOCAL",
            **driver_tags(self._store),
        }

    @contextmanager
    def accepted(self) -> Iterator[None]:
        """Around writes: UserError for a permanent refusal, DiskFull for a full disk.

        Any other error passes unchanged: a later attempt may succeed.
        """
        try:
            yield
        except MlflowException as error:
            self._experiments.clear()  # another store may answer now
            self._parents.clear()
            said = one_line(str(error), 300)
            if self._store.is_local_file and lacks_space(error):
                raise DiskFull(self._store.database) from error
            if self.is_permanent(error):
                raise UserError(f"the store refuses it: {said}", where=self._store.shown) from error
            raise

    def is_permanent(self, error: MlflowException) -> bool:
        """Whether a retry cannot help."""
        in_its_words = isinstance(error, RestException) or bool(self._store.artifact_root)
        return error.error_code in _PERMANENT and in_its_words

    def log_artifacts(self, run: Run, outcome: Outcome, staged: Path) -> None:
        """Verify and store the artifacts of an outcome, which lie in `staged`."""
        for artifact in outcome.artifacts:
            self.store_file(run, verify(staged / artifact.path, artifact), artifact.path)

    def store_file(self, run: Run, file: Path, path: str) -> None:
        """Store a file as the artifact `path`; its name is the last part of `path`.

        In a store folder this ignores the location that MLflow recorded: if the folder was copied,
        the location is still that of the original.
        """
        with disk_full_named(self._store.artifact_root or self._store.shown):
            own = self._store.own_artifact_folder(str(run.info.artifact_uri))
            if self._store.is_folder and own:
                put_file(file, own / path)
                return
            folder = str(Path(path).parent)
            self._client.log_artifact(run.info.run_id, str(file), None if folder == "." else folder)

    def log(
        self,
        run_id: str,
        *,
        metrics: Mapping[str, float] | None = None,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        at_ms: int,
        step: int = 0,
    ) -> None:
        """Log values to a run, in as many calls as MLflow needs."""
        values = [Metric(k, v, at_ms, step) for k, v in (metrics or {}).items()]
        param_list = [Param(k, v) for k, v in (params or {}).items()]
        tag_list = [RunTag(k, str(v)[:MAX_TAG_CHARS]) for k, v in (tags or {}).items()]
        while values or param_list or tag_list:
            self._client.log_batch(
                run_id,
                metrics=values[:METRICS_PER_CALL],
                params=param_list[:_OTHERS_PER_CALL],
                tags=tag_list[:_OTHERS_PER_CALL],
            )
            del (
                values[:METRICS_PER_CALL],
                param_list[:_OTHERS_PER_CALL],
                tag_list[:_OTHERS_PER_CALL],
            )


def driver_tags(store: Store) -> dict[str, str]:
    """Tags that name this machine and store folder in every run that its drivers write."""
    return {"driver_host": os.uname().nodename, "driver_store": str(store.root)}


def _precedence(run: Run) -> tuple[bool, int, int, str]:
    """Ended runs first, then more values, then the oldest: every driver keeps the same one."""
    info, data = run.info, run.data
    n_values = len(data.params) + len(data.metrics)
    return info.status == "RUNNING", -n_values, int(info.start_time or 0), str(info.run_id)


def final_step(run: Run, outcome: Outcome, step: int) -> int:
    """The step for an outcome's metrics: the one already logged, else after all others."""
    latest = [m for m in run.data._metric_objs if m.key in outcome.metrics]
    # Not below `step`: the last report may have had the same value in the same millisecond.
    own = [
        m.step
        for m in latest
        if m.step >= step
        and m.timestamp == outcome.ended_ms
        and same(m.value, outcome.metrics[m.key])
    ]
    ahead = [m.step + 1 for m in latest if (m.step, m.timestamp) > (step, outcome.ended_ms)]
    return max(own or ahead or [step])


def without_empty(tags: Mapping[str, str], stored: Mapping[str, str]) -> dict[str, str]:
    """Tags without empty ones, which only clutter the UI; a stored tag is emptied all the same."""
    return {name: text for name, text in tags.items() if text or name in stored}
