"""The writer of a tracking store: sweeps, submissions and trials as MLflow experiments and runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Run

from sweeper.records import Outcome, TrialSpec, TrialState, flat_params, now_ms
from sweeper.store.journal import Reported
from sweeper.store.location import Store
from sweeper.store.run_format.lineage import NOTE_TAG, lineage_tags, parents_of
from sweeper.store.run_format.name import run_name
from sweeper.store.run_format.record import PRUNED_TAG, files_tag, record_tags, swept_metrics
from sweeper.store.run_format.saved_view import VIEW_TAG, WRITTEN_NOTE_TAG, sweep_note
from sweeper.store.tracking.availability import refuse_read_only_database
from sweeper.store.tracking.former_runs import former_artifact_uri, make_former_run
from sweeper.store.tracking.results import Results
from sweeper.store.tracking.writer import (
    EXPERIMENT_TAGS,
    METRICS_PER_CALL,
    Writer,
    final_step,
    without_empty,
)

RUN_STATUS = {
    TrialState.RUNNING: "RUNNING",
    TrialState.WAITING: "SCHEDULED",
    TrialState.COMPLETE: "FINISHED",
    TrialState.PRUNED: "KILLED",
    TrialState.FAILED: "FAILED",
}
_MAX_PARAM_CHARS = 6000


class Tracking:
    """Writes sweeps, submissions and trials to a tracking store.

    Every write is idempotent. It raises DiskFull, UserError for a permanent refusal, and MLflow's
    own error for anything else: the flusher tries again.

    Attributes:
        results: the reader of the same store.
        writer: the single writes that everything here is made of.
    """

    def __init__(self, store: Store, results: Results | None = None) -> None:
        self.results = results or Results(store)
        self.writer = Writer(self.results)
        self._lost_run_ids: dict[str, str] = {}  # by key; see `restore_run_id`
        # By key: `create_run` got no answer, and the server may still execute it.
        self._unanswered: dict[str, str] = {}

    @property
    def store(self) -> Store:
        """Where it is."""
        return self.results.store

    @property
    def _client(self) -> MlflowClient:
        return self.results.client

    # ---- submissions -------------------------------------------------------------------

    def open_submission(self, sweep: str, name: str, tags: Mapping[str, str]) -> str:
        """Create the parent run of one `sweeper run`; returns its run id."""
        run = self._client.create_run(
            self.writer.experiment_id(sweep),
            run_name=name,
            tags={"sweep": sweep, "role": "submission", **self.writer.source_tags(), **tags},
        )
        return str(run.info.run_id)

    def close_submission(
        self, run_id: str, *, metrics: Mapping[str, float], files: Iterable[Path], failed: bool
    ) -> None:
        """Attach the summary and files (report, sweep file) of a submission and end its run."""
        run = self._client.get_run(run_id)
        files = list(files)
        for path in files:
            self.writer.store_file(run, path, path.name)
        self.writer.log(run_id, metrics=metrics, tags=files_tag(files), at_ms=now_ms())
        self._client.set_terminated(run_id, "FAILED" if failed else "FINISHED")
        for key, experiment in self._unanswered.items():
            self.writer.keep_one_run(experiment, key)

    def describe(self, sweep: str, description: str, view: str = "") -> None:
        """Set the description of a sweep in the UI, and a saved view of it (see `saved_view`).

        A description that somebody has edited there is kept.
        """
        experiment = self.writer.experiment_id(sweep)
        stored = self._client.get_experiment(experiment).tags
        note = sweep_note(experiment, description, has_view=bool(view or VIEW_TAG in stored))
        is_ours = stored.get(NOTE_TAG, "") == stored.get(WRITTEN_NOTE_TAG, "")
        tags = {VIEW_TAG: view} if view else {}
        if is_ours and note:
            tags |= {NOTE_TAG: note, WRITTEN_NOTE_TAG: note}
        for name, value in tags.items():
            if stored.get(name) != value:
                self._client.set_experiment_tag(experiment, name, value)

    def refuse_read_only(self, sweep: str) -> None:
        """Raise UserError if this user may not write `sweep`.

        A server checks permissions only for an existing experiment, so a new one is created.
        """
        if not self.store.is_server:
            refuse_read_only_database(self.store)
            return
        with self.results.answering(), self.writer.accepted():
            experiment = self.writer.experiment_id(sweep)
            for name, value in EXPERIMENT_TAGS.items():
                self._client.set_experiment_tag(experiment, name, value)

    def tag_sweeps(self, sweeps: Sequence[str], tags: Mapping[str, str]) -> None:
        """Set tags on sweeps, such as a verdict.

        Raises:
            UserError: the store does not accept them.
        """
        with self.results.answering(), self.writer.accepted():
            for sweep in sweeps:
                for name, value in tags.items():
                    self._client.set_experiment_tag(self.writer.experiment_id(sweep), name, value)

    def abandon_submissions(self, sweep: str) -> int:
        """End submissions that were left RUNNING; returns how many.

        The caller holds the sweep, so no driver is working on them.
        """
        experiment = self.writer.experiment_id(sweep)
        left = [
            run
            for run in self.results.search(experiment, "tags.role = 'submission'")
            if run.info.status == "RUNNING"
        ]
        for run in left:
            self._client.set_terminated(run.info.run_id, "KILLED")
        return len(left)

    # ---- trials ------------------------------------------------------------------------

    def start_trial(self, sweep: str, parent: str, spec: TrialSpec, started_ms: int) -> str:
        """Create the child run of `spec`, or continue one that an earlier driver left."""
        with self.writer.accepted():
            run, is_new = self._run_of(sweep, parent, spec, started_ms)
            if not is_new:
                self._client.update_run(run.info.run_id, status="RUNNING")
                tags = without_empty(self._running_tags(parent, spec), run.data.tags)
                self.writer.log(run.info.run_id, tags=tags, at_ms=started_ms)
        return str(run.info.run_id)

    def report_progress(self, run_id: str, reports: Sequence[Reported]) -> None:
        """Log metrics of a running trial at their steps, with their original times."""
        values = [
            Metric(name, value, report.at_ms, report.step)
            for report in reports
            for name, value in report.metrics.items()
        ]
        with self.writer.accepted():
            for start in range(0, len(values), METRICS_PER_CALL):
                self._client.log_batch(run_id, metrics=values[start : start + METRICS_PER_CALL])

    def finish_trial(
        self,
        sweep: str,
        parent: str,
        spec: TrialSpec,
        outcome: Outcome,
        staged: Path | None,
        reused_from: str = "",
        *,
        step: int = 0,
    ) -> str:
        """Make the database hold `outcome` under `spec`; returns the run id.

        `staged` is the folder with the outcome's artifacts. `reused_from` names the run of another
        sweep with these results. `step` must be greater than every step that the trial reported:
        of several values of a metric, MLflow shows the one at the latest step. If another driver's
        attempt in the same run came further, a later step is used.
        """
        tags = {
            "state": outcome.state,
            "certified": str(outcome.certified).lower(),
            "uncertified": outcome.uncertified,
            "error": outcome.error,
            "is_control": str(spec.is_control).lower(),
            "reused_from": reused_from,
            PRUNED_TAG: "",
            **record_tags(spec, outcome),
            **{f"fact.{name}": value for name, value in outcome.facts.items()},
            **{f"provenance.{name}": value for name, value in outcome.provenance.items()},
        }
        with self.writer.accepted():
            run, _ = self._run_of(sweep, parent, spec, outcome.started_ms)
            run_id = str(run.info.run_id)
            if staged is not None:
                self.writer.log_artifacts(run, outcome, staged)
            step = final_step(run, outcome, step)
            tags = without_empty(tags, run.data.tags)
            # The tags come last, in one transaction: a reader never sees an ended trial without its
            # end or its metrics.
            self._client.set_terminated(run_id, RUN_STATUS[outcome.state], outcome.ended_ms)
            self.writer.log(
                run_id, metrics=outcome.metrics, tags=tags, at_ms=outcome.ended_ms, step=step
            )
        return run_id

    def abandon_trial(self, sweep: str, spec: TrialSpec, reason: str, at_ms: int) -> str:
        """End the run of a trial without an outcome, so that the trial waits for a retry.

        Returns the run id, "" if there is no run. A run that has ended keeps its outcome.
        """
        with self.writer.accepted():
            run = self.writer.keep_one_run(self.writer.experiment_id(sweep), spec.key)
            if run is None:
                return ""
            run_id = str(run.info.run_id)
            if run.data.tags.get("state") == TrialState.RUNNING or run.info.status == "RUNNING":
                self.writer.log(
                    run_id, tags={"state": TrialState.WAITING, "error": reason}, at_ms=at_ms
                )
                self._client.set_terminated(run_id, "KILLED", at_ms)
        return run_id

    def restore_run_id(self, sweep: str, key: str, run_id: str) -> Path | None:
        """Give the next run that is created for the trial `key` an id that the database lost.

        Returns the folder of its artifacts. None, and a new id, where a server makes the runs or
        the artifacts are no files on this machine.
        """
        uri = former_artifact_uri(self._client, self.writer.experiment_id(sweep), run_id)
        folder = self.store.artifact_folder(uri) if uri else None
        if folder is not None:
            self._lost_run_ids[key] = run_id
        return folder

    # ---- inside ------------------------------------------------------------------------

    def _run_of(
        self, sweep: str, parent: str, spec: TrialSpec, started_ms: int
    ) -> tuple[Run, bool]:
        """The child run of `spec` with params and lineage, and whether it was just created."""
        experiment = self.writer.experiment_id(sweep)
        run = self.writer.keep_one_run(experiment, spec.key)
        is_new = run is None
        if run is None:
            tags = {
                "mlflow.parentRunId": parent,
                "role": "trial",
                "sweep": sweep,
                "kind": spec.kind,
                "trial_key": spec.key,
                "setting": spec.setting,
                **without_empty(self._running_tags(parent, spec), {}),
            }
            try:
                run = self._create_run(experiment, started_ms, tags, run_name(spec))
            except Exception:
                self._unanswered[spec.key] = experiment
                raise
        params = {
            name: str(value)[:_MAX_PARAM_CHARS] for name, value in flat_params(spec.config).items()
        }
        run_id, lineage = run.info.run_id, self._lineage(spec, run.data.tags)
        if params.keys() - run.data.params.keys():
            metrics = swept_metrics(spec)
            self.writer.log(run_id, params=params, metrics=metrics, tags=lineage, at_ms=started_ms)
        elif lineage:
            self.writer.log(run_id, tags=lineage, at_ms=started_ms)
        return run, is_new

    def _create_run(
        self, experiment: str, started_ms: int, tags: Mapping[str, str], name: str
    ) -> Run:
        if run_id := self._lost_run_ids.pop(tags["trial_key"], ""):
            return make_former_run(
                self._client, experiment, run_id, started_ms=started_ms, tags=tags, name=name
            )
        return self._client.create_run(experiment, started_ms, tags, name)

    def _lineage(self, spec: TrialSpec, stored: Mapping[str, str]) -> dict[str, str]:
        """Tags that name the runs which `spec` reads, without those already stored."""
        experiments = {run_id: self.writer.experiment_of(run_id) for run_id in parents_of(spec)}
        tags = lineage_tags(experiments, stored.get(NOTE_TAG, ""))
        return {name: text for name, text in tags.items() if stored.get(name) != text}

    def _running_tags(self, parent: str, spec: TrialSpec) -> dict[str, str]:
        """Tags from a trial's start on; they replace those of an earlier attempt."""
        return {
            "state": TrialState.RUNNING,
            "submission": parent,
            "error": "",
            **record_tags(spec),
            **self.writer.source_tags(),
        }
