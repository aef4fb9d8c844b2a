"""The database of results, and the only module that imports mlflow.

A sweep is an experiment, a submission a parent run, a trial a child run found by its `trial_key`.
Every write is idempotent: shipping the same outcome twice changes nothing.
"""

from __future__ import annotations

import getpass
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from sweeper.errors import UserError, one_line
from sweeper.records import Outcome, TrialRow, TrialSpec, TrialState, flat_params, now_ms
from sweeper.store.artifacts import verify
from sweeper.store.location import Store
from sweeper.store.run_record import MAX_TAG_CHARS, record_tags, swept_metrics, trial_row
from sweeper.store.saved_view import VIEW_TAG

# A dead server must fail within seconds (the default retries for minutes), no file may be
# unpickled, and nothing phones home.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow

if not hasattr(mlflow, "MlflowClient"):  # the deployment folder of that name was found instead
    raise ImportError("the package mlflow is not installed; see 'make test' for the set-up")

from mlflow import MlflowClient
from mlflow.entities import Experiment, Metric, Param, Run, RunTag, ViewType
from mlflow.exceptions import MlflowException

_RUN_STATUS = {
    TrialState.RUNNING: "RUNNING",
    TrialState.WAITING: "SCHEDULED",
    TrialState.COMPLETE: "FINISHED",
    TrialState.PRUNED: "KILLED",
    TrialState.FAILED: "FAILED",
}
_MAX_PARAM_CHARS, _BATCH = 6000, 100
_PAGE = 1000
# Without it the UI takes a sweep for a collection of chat traces.
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}


@contextmanager
def _readable(store: Store) -> Iterator[None]:
    """A store that does not answer is the user's to mend: one line instead of a traceback."""
    try:
        yield
    except MlflowException as error:
        raise UserError(
            f"the store does not answer: {one_line(str(error), 300)}", where=store.tracking_uri
        ) from error


class Tracking:
    """Reads and writes one tracking store.

    Reading raises UserError where the store does not answer; writing raises what MLflow raises,
    and the flusher tries again.
    """

    def __init__(self, store: Store) -> None:
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        logging.getLogger("alembic").setLevel(logging.ERROR)
        self.store = store
        if store.is_local_file:
            _prepare_sqlite(store.database)
        self._client = MlflowClient(tracking_uri=store.tracking_uri)
        self._experiments: dict[str, str] = {}

    # ---- submissions -------------------------------------------------------------------

    def open_submission(self, sweep: str, name: str, tags: Mapping[str, str]) -> str:
        """Create the parent run of one `sweeper run`; returns its run id."""
        run = self._client.create_run(
            self._experiment_id(sweep),
            run_name=name,
            tags={"sweep": sweep, "role": "submission", **_source_tags(), **tags},
        )
        return str(run.info.run_id)

    def close_submission(
        self, run_id: str, *, metrics: Mapping[str, float], files: Iterable[Path], failed: bool
    ) -> None:
        """Attach the summary and files (report, sweep file) of a submission and end its run."""
        for path in files:
            self._client.log_artifact(run_id, str(path))
        self._log(run_id, metrics=metrics, at_ms=now_ms())
        self._client.set_terminated(run_id, "FAILED" if failed else "FINISHED")

    def save_view(self, sweep: str, view: str) -> None:
        """Make a named view of the sweep (see `saved_view`) selectable in the UI."""
        self._client.set_experiment_tag(self._experiment_id(sweep), VIEW_TAG, view)

    def abandon_submissions(self, sweep: str) -> int:
        """End parent runs that a dead driver of this host left RUNNING; returns how many."""
        left = [
            run
            for run in self._search(self._experiment_id(sweep), "tags.role = 'submission'")
            if run.info.status == "RUNNING"
            and run.data.tags.get("driver_host") == os.uname().nodename
        ]
        for run in left:
            self._client.set_terminated(run.info.run_id, "KILLED")
        return len(left)

    # ---- trials ------------------------------------------------------------------------

    def start_trial(self, sweep: str, parent: str, spec: TrialSpec, started_ms: int) -> str:
        """The child run of `spec`, RUNNING: continued where an earlier driver left one."""
        experiment = self._experiment_id(sweep)
        found = self._find(experiment, spec.key)
        if found is not None:
            self._client.update_run(found.info.run_id, status="RUNNING")
            return str(found.info.run_id)
        run = self._client.create_run(
            experiment,
            start_time=started_ms,
            run_name=spec.label,
            tags={
                "mlflow.parentRunId": parent,
                "role": "trial",
                "sweep": sweep,
                "submission": parent,
                "kind": spec.kind,
                "trial_key": spec.key,
                **_source_tags(),
            },
        )
        run_id = str(run.info.run_id)
        self._log(
            run_id,
            params={
                name: str(value)[:_MAX_PARAM_CHARS]
                for name, value in flat_params(spec.config).items()
            },
            metrics=swept_metrics(spec),
            tags={"state": TrialState.RUNNING, **record_tags(spec)},
            at_ms=started_ms,
        )
        return run_id

    def report_progress(
        self, run_id: str, step: int, metrics: Mapping[str, float], at_ms: int
    ) -> None:
        """Metrics of a running trial at `step`, with their original time."""
        self._log(run_id, metrics=metrics, at_ms=at_ms, step=step)

    def finish_trial(
        self,
        sweep: str,
        parent: str,
        spec: TrialSpec,
        outcome: Outcome,
        staged: Path | None,
        reused_from: str = "",
    ) -> str:
        """Make the database hold `outcome` under `spec`; returns the run id.

        `staged` is the folder with the outcome's artifacts. `reused_from` names the run of another
        sweep that these results were taken from.
        """
        run_id = self.start_trial(sweep, parent, spec, outcome.started_ms)
        if staged is not None:
            for artifact in outcome.artifacts:
                verify(staged / artifact.path, artifact)
                folder = str(Path(artifact.path).parent)
                self._client.log_artifact(
                    run_id, str(staged / artifact.path), None if folder == "." else folder
                )
        self._log(
            run_id,
            metrics=outcome.metrics,
            tags={
                "state": outcome.state,
                "certified": str(outcome.certified).lower(),
                "uncertified": outcome.uncertified,
                "error": outcome.error,
                "is_control": str(spec.is_control).lower(),
                "reused_from": reused_from,
                **record_tags(spec, outcome),
                **{f"fact.{name}": value for name, value in outcome.facts.items()},
                **{f"provenance.{name}": value for name, value in outcome.provenance.items()},
            },
            at_ms=outcome.ended_ms,
        )
        self._client.set_terminated(run_id, _RUN_STATUS[outcome.state], outcome.ended_ms)
        return run_id

    # ---- reading -----------------------------------------------------------------------

    def rows(self, sweeps: Sequence[str] = (), keys: Sequence[str] = ()) -> list[TrialRow]:
        """Trials of the named sweeps (all sweeps when none is named), oldest first."""
        with _readable(self.store):
            experiments = {
                e.experiment_id: e.name
                for e in self._client.search_experiments(view_type=ViewType.ACTIVE_ONLY)
                if not sweeps or e.name in sweeps
            }
            runs = list(self._search(list(experiments), "tags.role = 'trial'"))
        rows = [_row(run, experiments[run.info.experiment_id]) for run in runs]
        chosen = [row for row in rows if not keys or row.key in set(keys)]
        return sorted(chosen, key=lambda row: (row.started_ms, row.run_id))

    def sweep_names(self) -> list[str]:
        """Names of the sweeps that the store holds."""
        with _readable(self.store):
            found = self._client.search_experiments(view_type=ViewType.ACTIVE_ONLY)
        return sorted(e.name for e in found if e.name != "Default")

    def last_submission(self, sweep: str) -> tuple[str, str]:
        """The sweep file and description of the newest submission of a sweep."""
        with _readable(self.store):
            runs = list(self._search(self._experiment_id(sweep), "tags.role = 'submission'"))
        newest = max(runs, key=lambda run: int(run.info.start_time), default=None)
        tags = newest.data.tags if newest else {}
        return tags.get("sweep_file", ""), tags.get("mlflow.note.content", "")

    def fetch_artifact(self, run_id: str, path: str) -> Path:
        """A local copy of one artifact, held against the digest recorded with its trial.

        Raises:
            UserError: no such run or artifact, or its content is not what was recorded.
        """
        try:
            row = _row(self._client.get_run(run_id))
        except MlflowException as error:
            raise UserError(f"no run '{run_id}' in {self.store.tracking_uri}") from error
        recorded = {artifact.path: artifact for artifact in row.artifacts}
        if path not in recorded:
            raise UserError(f"run '{run_id}' has no artifact '{path}'")
        try:
            local = self._client.download_artifacts(run_id, path)
        except (MlflowException, OSError) as error:
            raise UserError(
                f"artifact '{path}' of run '{run_id}': {one_line(str(error))}"
            ) from error
        return verify(Path(local), recorded[path])

    # ---- inside ------------------------------------------------------------------------

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
                    sweep, artifact_location=location, tags=_EXPERIMENT_TAGS
                )
            )
        except MlflowException:
            # Another driver may have made it in between.
            found: Experiment | None = self._client.get_experiment_by_name(sweep)
            if found is None:
                raise
            return str(found.experiment_id)

    def _find(self, experiment: str, key: str) -> Run | None:
        runs = self._client.search_runs([experiment], f"tags.trial_key = '{key}'", max_results=1)
        return runs[0] if runs else None

    def _search(self, experiments: str | list[str], wanted: str) -> Iterator[Run]:
        ids = [experiments] if isinstance(experiments, str) else experiments
        token = None
        while ids:
            page = self._client.search_runs(ids, wanted, max_results=_PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

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
        tag_list = [RunTag(k, str(v)[:MAX_TAG_CHARS]) for k, v in (tags or {}).items()]
        param_list = [Param(k, v) for k, v in (params or {}).items()]
        values = [Metric(k, v, at_ms, step) for k, v in (metrics or {}).items()]
        for start in range(0, max(len(tag_list), len(param_list), len(values)), _BATCH):
            part = slice(start, start + _BATCH)
            self._client.log_batch(
                run_id, metrics=values[part], params=param_list[part], tags=tag_list[part]
            )


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


def _source_tags() -> dict[str, str]:
    return {
        "mlflow.user": getpass.getuser(),
        "mlflow.source.name": "sweeper",
        "mlflow.source.type": "LOCAL",
        "driver_host": os.uname().nodename,
    }


def _prepare_sqlite(path: Path) -> None:
    """Create the folder and set write-ahead logging once, so that readers never block a driver."""
    import sqlite3

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
    except (OSError, sqlite3.Error) as error:
        raise UserError(f"cannot open the store: {error}", where=str(path)) from error
