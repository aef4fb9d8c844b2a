"""The runner: a Ray, and one Tune run on it."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray import tune

from sweeper.errors import UserError
from sweeper.run.attempts import Attempts
from sweeper.run.interrupts import undisturbed
from sweeper.run.runner import Job
from sweeper.run.tune_runner.bridge import Bridge
from sweeper.run.tune_runner.hooks import AttemptCallback, AttemptSearcher, AttemptStopper
from sweeper.run.tune_runner.signs import Mailbox, Signs
from sweeper.run.tune_runner.worker import run_trial
from sweeper.store.scratch import scratch_folder


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

    @property
    def runs_here(self) -> bool:
        """Whether trials run on this machine."""
        return not self._address and not ray.is_initialized()

    def run(self, attempts: Attempts, job: Job) -> None:
        """Run every trial of `attempts`; see `Runner.run`.

        Raises:
            UserError: the cluster has no room for even one trial.
        """
        with self._ray(), scratch_folder("tune") as scratch:
            signs = Signs(scratch / "signs")
            bridge = Bridge(attempts, signs, self._courier(job, signs), self._most_at_once)
            tuner = tune.Tuner(
                tune.with_resources(
                    # By Ray's memory: a config is also written to a file that others can read,
                    # and the job holds the store's password.
                    tune.with_parameters(run_trial, job_text=job.model_dump_json()),
                    {"cpu": self._cpu, "gpu": self._gpu},
                ),
                param_space={},
                tune_config=tune.TuneConfig(
                    search_alg=AttemptSearcher(bridge),
                    num_samples=-1,
                    # The thread of a stopped trial may outlive Tune's patience, and the next
                    # trial of its worker would pay for that.
                    reuse_actors=not attempts.may_stop,
                ),
                run_config=tune.RunConfig(
                    name=job.sweep,
                    storage_path=str(scratch),
                    callbacks=[AttemptCallback(bridge)],
                    stop=AttemptStopper(bridge),
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
            with undisturbed():
                ray.init(
                    address=self._address or "local",
                    include_dashboard=None if self._address else False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # a trial that fails is told of
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

    @property
    def _most_at_once(self) -> float:
        """Trials that Tune gets before one has ended.

        On a machine, none waits for a slot: a search hears what was found before it is asked. On a
        cluster one waits, so that the cluster may grow.
        """
        return math.inf if self._address else self._n_slots

    def _courier(self, job: Job, signs: Signs) -> dict[str, Any]:
        """How a worker and the driver reach each other: by disk on one node, else by an actor."""
        node = ray.get_runtime_context().get_node_id()
        if not self._address:
            return {"node": node, "mailbox": None, "signs": signs}
        pinned = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)
        mailbox = Mailbox.options(  # type: ignore[attr-defined]
            scheduling_strategy=pinned
        ).remote(str(job.staging_root), signs)
        return {"node": node, "mailbox": mailbox, "signs": signs}
