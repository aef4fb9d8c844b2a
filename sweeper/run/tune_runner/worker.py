"""What runs in a Ray worker: one trial."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray import tune

from sweeper.records import TrialSpec, TrialState
from sweeper.run.driver.attempts import forget_checkpoint
from sweeper.run.driver.interrupts import TrialInterrupted
from sweeper.run.runner import Job, artifact_fetcher
from sweeper.run.tune_runner.messages import RemoteMessages
from sweeper.run.worker.execute import TrialStopped, execute
from sweeper.run.worker.memory import memory_limit
from sweeper.store.artifacts import StagingArea
from sweeper.store.scratch import scratch_folder

_CHUNK_BYTES = 16 << 20


def run_trial(config: dict[str, Any], job_text: str) -> None:
    """Run one trial in a Ray worker and report its outcome as one JSON text."""
    spec = TrialSpec.model_validate_json(config["spec"])
    job = Job.model_validate_json(job_text)
    channel = config["channel"]
    if job.working_dir.is_dir():  # on another node it may not be there
        os.chdir(job.working_dir)
    if 0 < job.gpu < 1:
        _cap_gpu_memory(job.gpu)
    here = ray.get_runtime_context().get_node_id() == channel["node"]
    messages = channel["messages"] if here else RemoteMessages(channel["mailbox"])
    checkpoint_dir = job.checkpoint_root / spec.key

    def report(step: int, metrics: Mapping[str, float]) -> None:
        try:
            tune.report({"progress": json.dumps({"step": step, "metrics": dict(metrics)})})
        except SystemExit as error:  # how Tune ends the thread of a stopped trial
            raise TrialStopped from error

    try:
        with (
            memory_limit(job.memory_gib, lambda reason: messages.tell(spec.key, reason)),
            _artifact_dir(spec.key, job, None if here else channel["mailbox"]) as folder,
        ):
            outcome = execute(
                spec,
                artifact_dir=folder,
                checkpoint_dir=checkpoint_dir,
                device=job.device,
                n_threads=job.n_threads,
                report=report,
                fetch_artifact=artifact_fetcher(job),
                interrupted=messages.stopping,
            )
    except TrialInterrupted:
        return
    # A stopped trial has no say any more: its worker may belong to the next one already.
    if outcome.state is not TrialState.PRUNED:
        tune.report({"outcome": outcome.model_dump_json()})
    if not here:  # the driver, which now has the outcome, may not reach this disk
        forget_checkpoint(job.checkpoint_root, spec.key)


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
    with scratch_folder("artifacts") as scratch:
        folder = scratch / "files"
        folder.mkdir()
        yield folder
        ray.get(mailbox.begin.remote(key))
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            name = path.relative_to(folder).as_posix()
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    ray.get(mailbox.write.remote(key, name, chunk))
        ray.get(mailbox.commit.remote(key))
