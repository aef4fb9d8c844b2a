"""The Ray Tune runner, and the only module that imports ray.

Tune places trials on CPUs and GPUs and replaces dead workers; which trials there are, and what
became of them, is the feed's. Nothing here talks to a database, and no exception of ours reaches
Tune's controller: the first one stops the sweep and is raised after Tune has wound down.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Read by ray at import: no result files of Tune's own, no reporter, plain Ctrl-C, no telemetry.
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
from ray import tune
from ray.tune.search import Searcher

from sweeper.errors import UserError
from sweeper.records import Outcome, TrialSpec, TrialState, now_ms
from sweeper.run.execute import TrialStopped, execute
from sweeper.run.feed import TrialFeed
from sweeper.run.runner import Job, artifact_fetcher
from sweeper.store.artifacts import StagingArea

_MAX_WORKER_DEATHS = 2
_CHUNK_BYTES = 16 << 20


class TuneRunner:
    """Runs trials as Ray Tune trials, on this machine or on the cluster at RAY_ADDRESS."""

    def __init__(self, cpu: float, gpu: float) -> None:
        self._cpu, self._gpu = cpu, gpu
        self._address = os.environ.get("RAY_ADDRESS")
        self._n_slots = 1

    @property
    def n_slots(self) -> int:
        """Trials that fit on the cluster at once."""
        return self._n_slots

    def run(self, feed: TrialFeed, job: Job) -> None:
        """Run every trial of `feed`; see `Runner.run`.

        Raises:
            UserError: the cluster has no room for even one trial.
        """
        with self._ray(), tempfile.TemporaryDirectory(prefix="sweeper-tune-") as scratch:
            bridge = _Bridge(feed, self._courier(job))
            tuner = tune.Tuner(
                tune.with_resources(_trainable, {"cpu": self._cpu, "gpu": self._gpu}),
                param_space={},
                tune_config=tune.TuneConfig(
                    search_alg=_FeedSearcher(bridge, job),
                    num_samples=-1,
                    # The thread of a stopped trial may outlive Tune's patience, and the next
                    # trial of its worker would pay for that.
                    reuse_actors=not feed.may_stop,
                ),
                run_config=tune.RunConfig(
                    name=job.sweep,
                    storage_path=scratch,
                    callbacks=[_FeedCallback(bridge)],
                    failure_config=tune.FailureConfig(max_failures=_MAX_WORKER_DEATHS),
                    stop=_FeedStopper(bridge),
                    verbose=0,
                ),
            )
            tuner.fit()
        if bridge.error is not None:
            raise bridge.error

    @contextmanager
    def _ray(self) -> Iterator[None]:
        """A Ray of this driver's own, or the one that it is connected to already."""
        ours = not ray.is_initialized()
        if ours:
            ray.init(
                address=self._address or "local",
                include_dashboard=None if self._address else False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        logging.getLogger("ray.tune").setLevel(logging.ERROR)
        try:
            self._n_slots = self._room()
            yield
        finally:
            if ours:
                ray.shutdown()

    def _room(self) -> int:
        """Trials that fit at once. A cloud cluster may start empty and grow; a machine does not."""
        total = ray.cluster_resources()
        n_slots = total.get("CPU", 0) / self._cpu
        if self._gpu:
            n_slots = min(n_slots, total.get("GPU", 0) / self._gpu)
        if n_slots < 1 and not self._address:
            raise UserError(
                f"a trial needs {self._cpu:g} CPUs and {self._gpu:g} GPUs; this machine has "
                f"{total.get('CPU', 0):g} and {total.get('GPU', 0):g}",
                where="resources",
            )
        return max(1, int(n_slots))

    def _courier(self, job: Job) -> dict[str, Any]:
        """How a worker hands over artifacts: by disk on the driver's node, else by an actor."""
        node = ray.get_runtime_context().get_node_id()
        if not self._address:
            return {"node": node, "mailbox": None}
        pinned = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)
        mailbox = _Mailbox.options(  # type: ignore[attr-defined]
            scheduling_strategy=pinned
        ).remote(str(job.staging_root))
        return {"node": node, "mailbox": mailbox}


# ---- the driver's side ---------------------------------------------------------------------


class _Bridge:
    """Maps Tune's trial ids to keys, and keeps our exceptions out of Tune."""

    def __init__(self, feed: TrialFeed, courier: dict[str, Any]) -> None:
        self.feed, self.courier = feed, courier
        self.keys: dict[str, str] = {}
        self.done: set[str] = set()
        self.error: BaseException | None = None

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Tune pickles its whole experiment; what matters of ours lies in the journal."""
        return object, ()

    def guarded(self, call: Callable[[], Any]) -> Any:
        if self.error is not None:
            return None
        try:
            return call()
        except BaseException as error:
            self.error = error
            return None


class _FeedSearcher(Searcher):
    """Tune's searcher: asks the feed."""

    def __init__(self, bridge: _Bridge, job: Job) -> None:
        super().__init__()
        self._bridge, self._job = bridge, job

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        bridge = self._bridge
        spec = bridge.guarded(bridge.feed.next)
        if spec is None:
            over = bridge.error is not None or bridge.feed.exhausted
            return Searcher.FINISHED if over else None
        bridge.keys[trial_id] = spec.key
        return {
            "spec": spec.model_dump_json(),
            "job": self._job.model_dump_json(),
            "courier": bridge.courier,
        }

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        pass  # the callback has told the feed

    def save(self, checkpoint_path: str) -> None:
        pass  # what is to be resumed lies in the journal

    def restore(self, checkpoint_path: str) -> None:
        pass


class _FeedCallback(tune.Callback):
    """Tells the feed what happens to trials."""

    def __init__(self, bridge: _Bridge) -> None:
        self._bridge = bridge

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        key = self._bridge.keys[trial.trial_id]
        self._bridge.guarded(lambda: self._bridge.feed.started(key))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if not (text := result.get("outcome")) or trial.trial_id in self._bridge.done:
            return
        outcome = Outcome.model_validate_json(text)
        if outcome.key == self._bridge.keys[trial.trial_id]:
            self._bridge.done.add(trial.trial_id)
            self._bridge.guarded(lambda: self._bridge.feed.finished(outcome))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._end(trial, TrialState.PRUNED, "")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        died = f"the worker died {_MAX_WORKER_DEATHS + 1} times (killed, or out of memory)"
        self._end(trial, TrialState.FAILED, died)

    def _end(self, trial: Any, state: TrialState, error: str) -> None:
        """A trial that ended without an outcome of its own."""
        if trial.trial_id in self._bridge.done:
            return
        self._bridge.done.add(trial.trial_id)
        outcome = Outcome(
            key=self._bridge.keys[trial.trial_id],
            state=state,
            error=error,
            started_ms=int((trial.run_metadata.start_time or 0) * 1000) or now_ms(),
            ended_ms=now_ms(),
        )
        self._bridge.guarded(lambda: self._bridge.feed.finished(outcome))


class _FeedStopper(tune.Stopper):
    """Asks the feed's stopping rule at each report; ends the sweep after an error of ours."""

    def __init__(self, bridge: _Bridge) -> None:
        self._bridge = bridge

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        if "progress" not in result:
            return False
        progress, key = json.loads(result["progress"]), self._bridge.keys[trial_id]
        step, metrics = progress["step"], progress["metrics"]
        return bool(self._bridge.guarded(lambda: self._bridge.feed.reported(key, step, metrics)))

    def stop_all(self) -> bool:
        return self._bridge.error is not None


# ---- the worker's side ---------------------------------------------------------------------


def _trainable(config: dict[str, Any]) -> None:
    """Run one trial in a Ray worker and report its outcome as one JSON text."""
    spec = TrialSpec.model_validate_json(config["spec"])
    job = Job.model_validate_json(config["job"])
    courier = config["courier"]
    if job.working_dir.is_dir():  # on another node it may not be there
        os.chdir(job.working_dir)
    if 0 < job.gpu < 1:
        _cap_gpu_memory(job.gpu)
    here = ray.get_runtime_context().get_node_id() == courier["node"]
    with _artifact_dir(spec.key, job, None if here else courier["mailbox"]) as folder:
        outcome = execute(
            spec,
            artifact_dir=folder,
            checkpoint_dir=job.checkpoint_root / spec.key,
            device=job.device,
            n_threads=job.n_threads,
            report=_report_progress,
            fetch_artifact=artifact_fetcher(job),
        )
    # A stopped trial has no say any more: its worker may belong to the next one already.
    if outcome.state is not TrialState.PRUNED:
        tune.report({"outcome": outcome.model_dump_json()})


def _report_progress(step: int, metrics: Mapping[str, float]) -> None:
    try:
        tune.report({"progress": json.dumps({"step": step, "metrics": dict(metrics)})})
    except SystemExit as error:  # how Tune ends the thread of a stopped trial
        raise TrialStopped from error


def _cap_gpu_memory(share: float) -> None:
    """Fractional GPUs are a count to Ray; hold each trial to its share of the memory."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(share)


@contextmanager
def _artifact_dir(key: str, job: Job, mailbox: Any) -> Iterator[Path]:
    """A folder whose content is in the driver's staging area when the block ends."""
    if mailbox is None:
        staging = StagingArea(job.staging_root)
        yield staging.begin(key)
        staging.commit(key)
        return
    folder = Path(tempfile.mkdtemp(prefix="sweeper-artifacts-"))
    try:
        yield folder
        ray.get(mailbox.begin.remote(key))
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            name = path.relative_to(folder).as_posix()
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    ray.get(mailbox.write.remote(key, name, chunk))
        ray.get(mailbox.commit.remote(key))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@ray.remote(num_cpus=0)
class _Mailbox:
    """Lives on the driver's node and writes what workers of other nodes send."""

    def __init__(self, staging_root: str) -> None:
        self._staging = StagingArea(Path(staging_root))
        self._partial: dict[str, Path] = {}

    def begin(self, key: str) -> None:
        self._partial[key] = self._staging.begin(key)

    def write(self, key: str, name: str, chunk: bytes) -> None:
        path = self._partial[key] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(chunk)

    def commit(self, key: str) -> None:
        self._staging.commit(key)
