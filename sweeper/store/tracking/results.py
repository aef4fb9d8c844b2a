"""The reader of a tracking store."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy.exc import SQLAlchemyError

from sweeper.errors import NoSuchArtifact, UserError, one_line
from sweeper.records import Deleted, TrialRow, TrialSpec, TrialState
from sweeper.store.artifacts import verify
from sweeper.store.location import Store
from sweeper.store.run_format.record import REMOVED_TAG, trial_row, trial_spec, unclipped
from sweeper.store.scratch import scratch_folder
from sweeper.store.sqlite_file import is_writable, prepare, read_only_name
from sweeper.store.tracking.availability import explained, reach
from sweeper.store.tracking.lease_slot import ServerSlot
from sweeper.store.tracking.migration import opened_alone

_PAGE = 1000
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED)
_NO_SUCH_RUN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


class Results:
    """Reads a tracking store; `Tracking` writes to it.

    Raises UserError where the store does not answer.

    Attributes:
        store: where it is.
        client: MLflow's own client, for this package and fsck.
    """

    def __init__(self, store: Store) -> None:
        for name in ("mlflow", "alembic", "urllib3"):  # callers report errors themselves
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.store = store
        uri = store.tracking_uri
        if store.is_local_file:
            prepare(store.database, self._create_database)
            if not is_writable(store.database):
                # With the driver, or MLflow would create folders. SQLAlchemy unquotes it once.
                name, _, options = read_only_name(store.database).partition("?")
                uri = f"sqlite+pysqlite:///{quote(name, safe='/:')}?{options}&uri=true"
        reach(store)
        with self.answering(), opened_alone(store.tracking_uri):
            self.client = MlflowClient(tracking_uri=uri)

    def rows(self, sweeps: Sequence[str] = (), keys: Sequence[str] = ()) -> list[TrialRow]:
        """Trials of the named sweeps (all sweeps when none is named), oldest first."""
        wanted = set(keys)
        return [row for row in self.matching("", sweeps) if not wanted or row.key in wanted]

    def matching(
        self, wanted: str, sweeps: Sequence[str] = (), *, n_newest: int | None = None
    ) -> list[TrialRow]:
        """Trials that match a filter of MLflow's, oldest first; or the last `n_newest` of them."""
        with self.answering():
            experiments = {
                e.experiment_id: e.name
                for e in self.client.search_experiments(view_type=ViewType.ACTIVE_ONLY)
                if not sweeps or e.name in sweeps
            }
            which = f"tags.role = 'trial' and {wanted}" if wanted else "tags.role = 'trial'"
            runs = list(self.search(list(experiments), which, n_newest=n_newest))
        rows = [_row(run, experiments[run.info.experiment_id]) for run in runs]
        return sorted(rows, key=lambda row: (row.started_ms, row.run_id))

    def spec(self, run_id: str) -> TrialSpec:
        """The spec of a stored trial, with its full config."""
        with self.answering():
            tags = self.client.get_run(run_id).data.tags
        return trial_spec(run_id, tags)

    def history(self, run_id: str, metric: str) -> list[tuple[int, int, float]]:
        """(step, Unix time in milliseconds, value) of every value that a run logged, in order."""
        with self.answering():
            values = self.client.get_metric_history(run_id, metric)
        return sorted((v.step, v.timestamp, unclipped(v.value)) for v in values)

    def sweep_names(self) -> list[str]:
        """Names of the sweeps that the store holds."""
        with self.answering():
            experiments = self.client.search_experiments(view_type=ViewType.ACTIVE_ONLY)
        return sorted(e.name for e in experiments if e.name != "Default")

    def last_submission(self, sweep: str) -> tuple[str, str]:
        """The sweep file and description of the newest submission of a sweep."""
        with self.answering():
            experiment = self.client.get_experiment_by_name(sweep)
            ids = [experiment.experiment_id] if experiment else []
            runs = list(self.search(ids, "tags.role = 'submission'"))
        newest = max(runs, key=lambda run: int(run.info.start_time), default=None)
        tags = newest.data.tags if newest else {}
        return tags.get("sweep_file", ""), tags.get("mlflow.note.content", "")

    def lease(self, sweep: str) -> str:
        """The lease of a sweep as its driver wrote it, "" if there is none."""
        with self.answering():
            return ServerSlot(self.client, sweep).read()

    def deleted_sweeps(self) -> list[str]:
        """Names of deleted sweeps."""
        with self.answering():
            experiments = self.client.search_experiments(view_type=ViewType.DELETED_ONLY)
        return sorted(e.name for e in experiments)

    def deleted(self, sweep: str) -> Deleted:
        """What of a sweep was deleted."""
        with self.answering():
            experiment = self.client.get_experiment_by_name(sweep)
            if experiment is None:
                return Deleted()
            if experiment.lifecycle_stage == "deleted":
                return Deleted(sweep=True)
            of, wanted = experiment.experiment_id, "tags.role = 'trial'"
            tags = [r.data.tags for r in self.search(of, wanted, view=ViewType.DELETED_ONLY)]
            half_removed = list(self.search(of, f"tags.`{REMOVED_TAG}` LIKE '%'"))
        ended = [t for t in tags if t.get("state") in _ENDED and REMOVED_TAG not in t]
        return Deleted(
            keys=frozenset(t.get("trial_key", "") for t in ended),
            is_half_removed=bool(half_removed) or REMOVED_TAG in experiment.tags,
        )

    def fetch_artifact(self, run_id: str, path: str, into: Path | None = None) -> Path:
        """One artifact as a file on this machine, verified by the digest in its trial's record.

        An artifact on a server or in an object store is downloaded to `into`, or by default to a
        folder that is removed together with this object.

        Raises:
            UserError: no such run or artifact, or its content differs from the record.
        """
        try:
            run = self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code in _NO_SUCH_RUN:
                raise UserError(f"no run '{run_id}' in {self.store.shown}") from error
            raise explained(self.store, error) from error
        row = _row(run)
        recorded = {artifact.path: artifact for artifact in row.artifacts}
        if path not in recorded:
            raise NoSuchArtifact(f"run '{run_id}' has no artifact '{path}'")
        if path in row.pruned:
            raise UserError(
                f"artifact '{path}' of run '{run_id}' was pruned",
                hint=f"after 'sweeper rm {run_id[:12]}' the sweep '{row.sweep}' computes it again",
            )
        local = self._on_this_machine(run, path)
        if local is None:
            folder = (into or self._copies) / run_id
            try:
                local = self.download(str(run.info.artifact_uri), path, folder)
            except (MlflowException, OSError) as error:
                raise UserError(
                    f"artifact '{path}' (SHA-256 {recorded[path].sha256[:16]}…) of run "
                    f"'{run_id}': {one_line(str(error), 300)}"
                ) from error
        return verify(local, recorded[path])

    @cached_property
    def _copies(self) -> Path:
        kept = ExitStack()
        weakref.finalize(self, kept.close)
        return kept.enter_context(scratch_folder("copies"))

    def artifact_file(self, run_id: str, path: str) -> Path | None:
        """Path of an artifact on this machine, unverified.

        None if there is no such artifact, or a server or an object store keeps it.
        """
        try:
            return self._on_this_machine(self.client.get_run(run_id), path)
        except MlflowException:
            return None

    def every_run(self) -> list[tuple[str, Run]]:
        """(sweep, run) of every run, oldest first, deleted ones included."""
        with self.answering():
            sweeps = {
                e.experiment_id: e.name
                for e in self.client.search_experiments(view_type=ViewType.ALL)
            }
            runs = list(self.search(list(sweeps), "", view=ViewType.ALL))
        runs.sort(key=lambda run: (int(run.info.start_time or 0), str(run.info.run_id)))
        return [(sweeps[run.info.experiment_id], run) for run in runs]

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Inside the block, errors of the store become a UserError in one line."""
        try:
            yield
        except (MlflowException, SQLAlchemyError) as error:
            raise explained(self.store, error) from error

    def search(
        self,
        experiments: str | list[str],
        wanted: str,
        view: int = ViewType.ACTIVE_ONLY,
        *,
        n_newest: int | None = None,
    ) -> Iterator[Run]:
        """Every run of some experiments that matches a filter of MLflow's, page by page.

        With `n_newest`, only so many, those that started last.
        """
        order = ["attributes.start_time DESC"] if n_newest else None
        n_left = n_newest
        ids = [experiments] if isinstance(experiments, str) else experiments
        token = None
        while ids:
            page = self.client.search_runs(
                ids,
                wanted,
                run_view_type=view,
                max_results=min(n_left or _PAGE, _PAGE),
                order_by=order,
                page_token=token,
            )
            yield from page
            token = page.token
            n_left = n_left and n_left - len(page)
            if not token or n_left == 0:
                return

    def _on_this_machine(self, run: Run, path: str) -> Path | None:
        folder = self.store.artifact_folder(str(run.info.artifact_uri))
        return folder / path if folder and (folder / path).is_file() else None

    def repository(self, artifact_uri: str) -> ArtifactRepository:
        """MLflow's access to the artifacts of a run."""
        return get_artifact_repository(artifact_uri, tracking_uri=self.store.tracking_uri)

    def download(self, artifact_uri: str, path: str, into: Path) -> Path:
        """Download one file in one request; the client's own download makes five."""
        target = into / path
        target.parent.mkdir(parents=True, exist_ok=True)
        self.repository(artifact_uri)._download_file(path, str(target))
        return target

    def _create_database(self, path: Path) -> None:
        SqlAlchemyStore(f"sqlite:///{path}", self.store.artifact_root).engine.dispose()


def _row(run: Run, sweep: str = "") -> TrialRow:
    info = run.info
    return trial_row(
        info.run_id,
        sweep or run.data.tags.get("sweep", ""),
        info.run_name,
        run.data.tags,
        run.data.metrics,
        int(info.start_time or 0),
        int(info.end_time or 0),
    )
