"""Which runner a sweep gets."""

from __future__ import annotations

import math
import os

from sweeper.declare.search import Resources
from sweeper.run.driver.attempts import Attempts
from sweeper.run.inprocess import InProcessRunner
from sweeper.run.runner import Job, Runner
from sweeper.run.slots import slots_here
from trials import machine


def make_runner(resources: Resources, *, in_process: bool) -> Runner:
    """The in-process runner, or Ray Tune's, whose import waits until a trial must run."""
    return InProcessRunner() if in_process else _DeferredTuneRunner(resources)


class _DeferredTuneRunner:
    """Ray takes seconds to load; a sweep that finds everything done never needs it."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._runner: Runner | None = None

    @property
    def n_slots(self) -> int:
        """Trials that run at once."""
        if self._runner is not None:
            return self._runner.n_slots
        return slots_here(self._resources)

    @property
    def runs_here(self) -> bool:
        """Whether trials run on this machine."""
        return os.environ.get("RAY_ADDRESS", "").strip() in ("", "local")

    @property
    def n_cpus(self) -> float:
        """CPUs that a trial can reserve: those of this machine, unless a cluster is used."""
        return machine.n_cpus() if self.runs_here else math.inf

    def run(self, attempts: Attempts, job: Job) -> None:
        """See `Runner.run`."""
        if attempts.exhausted:
            return
        from sweeper.run.tune_runner import TuneRunner

        self._runner = TuneRunner(self._resources.cpu, self._resources.gpu)
        self._runner.run(attempts, job)
