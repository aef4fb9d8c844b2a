"""Writing to a tracking store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mlflow.entities import Metric, Run
from mlflow.exceptions import MlflowException

from sweeper.records import Outcome, TrialSpec, TrialState, flat_params, now_ms
from sweeper.store.differences import same
from sweeper.store.journal import Reported
from sweeper.store.lineage import NOTE_TAG, lineage_tags, parents_of
from sweeper.store.location import Store
from sweeper.store.run_name import run_name
from sweeper.store.run_record import files_tag, record_tags, swept_metrics
from sweeper.store.saved_view import VIEW_TAG, WRITTEN_NOTE_TAG, sweep_note
from sweeper.store.tracking.availability import refuse_read_only_database
from sweeper.store.tracking.writing import EXPERIMENT_TAGS, METRICS_A_CALL, Writing

RUN_STATUS = {
    TrialState.RUNNING: "RUNNING",
    TrialState.WAITING: "SCHEDULED",
    TrialState.COMPLETE: "FINISHED",
    TrialState.PRUNED: "KILLED",
    TrialState.FAILED: "FAILED",
}
_MAX_PARAM_CHARS = 6000


class Tracking(Writing):
    """Reads and writes one tracking store.

    Writing raises DiskFull, UserError for what the store refuses for good, and else what MLflow
    raises: the flusher tries again.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        # Trials whose `create_run` got no answer: the server may yet execute it, late.
        self._doubtful: dict[str, str] = {}

    # ---- submissions -------------------------------------------------------------------

    def open_submission(self, sweep: str, name: str, tags: Mapping[str, str]) -> str:
        """Create the parent run of one `sweeper run`; returns its run id."""
        run = self._client.create_run(
            self._experiment_id(sweep),
            run_name=name,
            tags={"sweep": sweep, "role": "submission", **self._source_tags(), **tags},
        )
        return str(run.info.run_id)

    def close_submission(
        self, run_id: str, *, metrics: Mapping[str, float], files: Iterable[Path], failed: bool
    ) -> None:
        """Attach the summary and files (report, sweep file) of a submission and end its run."""
        run = self._client.get_run(run_id)
        files = list(files)
        for path in files:
            self._store_file(run, path, path.name)
        self._log(run_id, metrics=metrics, tags=files_tag(files), at_ms=now_ms())
        self._client.set_terminated(run_id, "FAILED" if failed else "FINISHED")
        for key, experiment in self._doubtful.items():
            self._find(experiment, key)

    def describe(self, sweep: str, description: str, view: str = "") -> None:
        """Describe a sweep in the UI, and leave a view of it (see `saved_view`) to open there.

        A description that somebody has written there stays.
        """
        experiment = self._experiment_id(sweep)
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

        A server only says so of an experiment that exists: there, a new sweep's is made.
        """
        if not self.store.is_server:
            refuse_read_only_database(self.store)
            return
        with self.answering(), self._accepted():
            experiment = self._experiment_id(sweep)
            for name, value in EXPERIMENT_TAGS.items():
                self._client.set_experiment_tag(experiment, name, value)

    def tag_sweeps(self, sweeps: Sequence[str], tags: Mapping[str, str]) -> None:
        """Set tags on sweeps, such as what was decided on them.

        Raises:
            UserError: the store does not accept them.
        """
        with self.answering(), self._accepted():
            for sweep in sweeps:
                for name, value in tags.items():
                    self._client.set_experiment_tag(self._experiment_id(sweep), name, value)

    def abandon_submissions(self, sweep: str) -> int:
        """End parent runs that are left RUNNING; returns how many.

        The caller holds the sweep, so no driver works on them.
        """
        left = [
            run
            for run in self._search(self._experiment_id(sweep), "tags.role = 'submission'")
            if run.info.status == "RUNNING"
        ]
        for run in left:
            self._client.set_terminated(run.info.run_id, "KILLED")
        return len(left)

    # ---- trials ------------------------------------------------------------------------

    def start_trial(self, sweep: str, parent: str, spec: TrialSpec, started_ms: int) -> str:
        """The child run of `spec`, RUNNING: continued where an earlier driver left one."""
        with self._accepted():
            run, is_new = self._run_of(sweep, parent, spec, started_ms)
            if not is_new:
                self._client.update_run(run.info.run_id, status="RUNNING")
                tags = _told(self._running_tags(parent, spec), run.data.tags)
                self._log(run.info.run_id, tags=tags, at_ms=started_ms)
        return str(run.info.run_id)

    def report_progress(self, run_id: str, reports: Sequence[Reported]) -> None:
        """Metrics of a running trial at their steps, with their original times."""
        values = [
            Metric(name, value, report.at_ms, report.step)
            for report in reports
            for name, value in report.metrics.items()
        ]
        with self._accepted():
            for start in range(0, len(values), METRICS_A_CALL):
                self._client.log_batch(run_id, metrics=values[start : start + METRICS_A_CALL])

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
        sweep that these results were taken from. `step` lies behind all that the trial reported
        here: of several values of a metric, MLflow takes the one of the latest step for the result.
        Where another driver's attempt in the same run came further, the step moves behind that.
        """
        tags = {
            "state": outcome.state,
            "certified": str(outcome.certified).lower(),
            "uncertified": outcome.uncertified,
            "error": outcome.error,
            "is_control": str(spec.is_control).lower(),
            "reused_from": reused_from,
            **record_tags(spec, outcome),
            **{f"fact.{name}": value for name, value in outcome.facts.items()},
            **{f"provenance.{name}": value for name, value in outcome.provenance.items()},
        }
        with self._accepted():
            run, _ = self._run_of(sweep, parent, spec, outcome.started_ms)
            run_id = str(run.info.run_id)
            if staged is not None:
                self._log_artifacts(run, outcome, staged)
            step = _behind_all(run, outcome, step)
            tags = _told(tags, run.data.tags)
            self._log(run_id, metrics=outcome.metrics, tags=tags, at_ms=outcome.ended_ms, step=step)
            self._client.set_terminated(run_id, RUN_STATUS[outcome.state], outcome.ended_ms)
        return run_id

    def abandon_trial(self, sweep: str, spec: TrialSpec, reason: str, at_ms: int) -> str:
        """End the run of a trial that is left without an outcome, so that it waits for another try.

        Returns the run id, "" if there is no run. One that has ended already keeps its outcome.
        """
        with self._accepted():
            run = self._find(self._experiment_id(sweep), spec.key)
            if run is None:
                return ""
            run_id = str(run.info.run_id)
            if run.data.tags.get("state") == TrialState.RUNNING or run.info.status == "RUNNING":
                self._log(run_id, tags={"state": TrialState.WAITING, "error": reason}, at_ms=at_ms)
                self._client.set_terminated(run_id, "KILLED", at_ms)
        return run_id

    # ---- inside ------------------------------------------------------------------------

    def _run_of(
        self, sweep: str, parent: str, spec: TrialSpec, started_ms: int
    ) -> tuple[Run, bool]:
        """The child run of `spec`, its params and its lineage, and whether it was made just now."""
        experiment = self._experiment_id(sweep)
        run = self._find(experiment, spec.key)
        is_new = run is None
        if run is None:
            tags = {
                "mlflow.parentRunId": parent,
                "role": "trial",
                "sweep": sweep,
                "kind": spec.kind,
                "trial_key": spec.key,
                "setting": spec.setting,
                **_told(self._running_tags(parent, spec), {}),
            }
            try:
                run = self._create_run(experiment, started_ms, tags, run_name(spec))
            except Exception:
                self._doubtful[spec.key] = experiment
                raise
        params = {
            name: str(value)[:_MAX_PARAM_CHARS] for name, value in flat_params(spec.config).items()
        }
        run_id, lineage = run.info.run_id, self._lineage(spec, run.data.tags)
        if params.keys() - run.data.params.keys():
            metrics = swept_metrics(spec)
            self._log(run_id, params=params, metrics=metrics, tags=lineage, at_ms=started_ms)
        elif lineage:
            self._log(run_id, tags=lineage, at_ms=started_ms)
        return run, is_new

    def _create_run(
        self, experiment: str, started_ms: int, tags: Mapping[str, str], name: str
    ) -> Run:
        return self._client.create_run(experiment, started_ms, tags, name)

    def _lineage(self, spec: TrialSpec, stored: Mapping[str, str]) -> dict[str, str]:
        """The tags that name the runs which `spec` reads, as far as they are not stored so."""
        experiments = {run_id: self._experiment_of(run_id) for run_id in parents_of(spec)}
        tags = lineage_tags(experiments, stored.get(NOTE_TAG, ""))
        return {name: text for name, text in tags.items() if stored.get(name) != text}

    def _experiment_of(self, run_id: str) -> str:
        """The experiment that a run is in, "" where the store shows no such run; asked for once."""
        if run_id not in self._parents:
            try:
                self._parents[run_id] = str(self._client.get_run(run_id).info.experiment_id)
            except MlflowException as error:
                # A result is not held back by a parent that its user may not see.
                if not self._is_for_good(error) and error.error_code != "PERMISSION_DENIED":
                    raise
                self._parents[run_id] = ""
        return self._parents[run_id]

    def _running_tags(self, parent: str, spec: TrialSpec) -> dict[str, str]:
        """What holds from a trial's start on; what an earlier attempt left is no longer true."""
        return {
            "state": TrialState.RUNNING,
            "submission": parent,
            "error": "",
            **record_tags(spec),
            **self._source_tags(),
        }


def _behind_all(run: Run, outcome: Outcome, step: int) -> int:
    """The step for an outcome's metrics: the one it has in the run already, else behind all."""
    latest = [m for m in run.data._metric_objs if m.key in outcome.metrics]
    own = [
        m.step
        for m in latest
        if m.timestamp == outcome.ended_ms and same(m.value, outcome.metrics[m.key])
    ]
    ahead = [m.step + 1 for m in latest if (m.step, m.timestamp) > (step, outcome.ended_ms)]
    return max(own or ahead or [step])


def _told(tags: Mapping[str, str], stored: Mapping[str, str]) -> dict[str, str]:
    """Tags without the empty ones, which a person would read; one that is stored gets empty."""
    return {name: text for name, text in tags.items() if text or name in stored}
