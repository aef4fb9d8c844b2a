"""The in-process runner: one trial after another in this process, for debugging and for tests."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from sweeper.records import TrialSpec
from sweeper.run.driver.attempts import Attempts
from sweeper.run.driver.interrupts import TrialInterrupted
from sweeper.run.runner import Job, artifact_fetcher
from sweeper.run.worker.execute import OutOfMemory, TrialStopped, execute
from sweeper.store.artifacts import StagingArea

_LOOK_EVERY_S = 0.1


class InProcessRunner:
    """Runs trials here and now; a debugger sees into them.

    Limits on a trial's time and memory are not enforced: there is no worker that could be killed.
    """

    n_slots, runs_here, n_cpus = 1, True, math.inf

    def run(self, attempts: Attempts, job: Job) -> None:
        """Run every trial of `attempts` in turn."""
        while not attempts.exhausted:
            if (spec := attempts.next()) is not None:
                _attempt(spec, attempts, job)
            elif not attempts.exhausted:  # one waits to be tried again
                time.sleep(_LOOK_EVERY_S)


def _attempt(spec: TrialSpec, attempts: Attempts, job: Job) -> None:
    staging = StagingArea(job.staging_root)

    def report(step: int, metrics: Mapping[str, float]) -> None:
        if attempts.reported(spec.key, step, metrics):
            raise TrialStopped

    attempts.started(spec.key)
    try:
        with attempts.breaking():
            outcome = execute(
                spec,
                artifact_dir=staging.begin(spec.key),
                checkpoint_dir=job.checkpoint_root / spec.key,
                device=job.device,
                n_threads=job.n_threads,
                report=report,
                fetch_artifact=artifact_fetcher(job),
                interrupted=lambda: attempts.stopping,
            )
    except TrialInterrupted:
        attempts.interrupted(spec.key)
    except OutOfMemory as error:
        attempts.died(spec.key, "out of memory", str(error))
    else:
        staging.commit(spec.key)
        attempts.finished(outcome)
