"""The runner: a Ray, and one Tune run on it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import ray
from ray import tune

from sweeper.errors import UserError
from sweeper.run.driver.attempts import Attempts
from sweeper.run.runner import Job
from sweeper.run.slots import slots_in
from sweeper.run.tune_runner.bridge import Bridge
from sweeper.run.tune_runner.growth import most_trials
from sweeper.run.tune_runner.hooks import (
    AttemptCallback,
    AttemptSearcher,
    AttemptStopper,
    NoReporter,
)
from sweeper.run.tune_runner.messages import Mailbox, Messages
from sweeper.run.tune_runner.patience import WORKER_TIMEOUT_S, Patience
from sweeper.run.tune_runner.service import (
    cluster_address,
    joined_cluster,
    last_words,
    own_ray,
)
from sweeper.run.tune_runner.worker import run_trial
from sweeper.store.scratch import scratch_folder

_COUNT_EVERY_S = 5.0


class TuneRunner:
    """Runs trials as Ray Tune trials, on this machine or on the cluster at RAY_ADDRESS."""

    def __init__(self, cpu: float, gpu: float) -> None:
        self._cpu, self._gpu = cpu, gpu
        self._address = cluster_address()
        self._n_slots = 1
        self._counted = -math.inf

    @property
    def n_slots(self) -> int:
        """Trials that fit at once, on the nodes that there are."""
        return self._n_slots

    @property
    def runs_here(self) -> bool:
        """Whether trials run on this machine."""
        return not self._address and not ray.is_initialized()

    @property
    def n_cpus(self) -> float:
        """CPUs that a trial can reserve; what a node has is known once Ray runs."""
        return math.inf

    def run(self, attempts: Attempts, job: Job) -> None:
        """Run every trial of `attempts`; see `Runner.run`.

        Raises:
            UserError: there is no Ray, no room for even one trial, or no worker comes.
        """
        with self._ray() as folder, scratch_folder("tune") as scratch:
            messages = Messages(scratch / "messages")
            bridge = Bridge(
                attempts,
                messages,
                self._channel(job, messages),
                most_at_once=lambda: self._most_at_once(attempts),
                patience=self._patience(attempts, folder),
            )
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
                    progress_reporter=NoReporter(),
                ),
            )
            tuner.fit()
        if bridge.error is not None:
            raise bridge.error

    @contextmanager
    def _ray(self) -> Iterator[Path | None]:
        """A Ray of this driver's own, or the one that it is connected to already.

        Yields the folder of a Ray of our own.
        """
        with ExitStack() as stack:
            folder = None
            if not ray.is_initialized():
                if self._address:
                    stack.enter_context(joined_cluster(self._address))
                else:
                    folder = stack.enter_context(own_ray())
            logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # we tell of failed trials
            self._count_slots()
            yield folder

    def _count_slots(self) -> None:
        """Count the trials that fit at once. A cluster may start empty; a machine does not."""
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        n_slots = sum(slots_in(node, self._cpu, self._gpu) for node in nodes)
        if n_slots < 1 and not self._address:
            total = ray.cluster_resources()
            raise UserError(
                f"a trial needs {self._cpu:g} CPUs and {self._gpu:g} GPUs; this machine has "
                f"{total.get('CPU', 0):g} and {total.get('GPU', 0):g}",
                where="resources",
            )
        self._n_slots, self._counted = max(1, n_slots), time.monotonic()

    def _most_at_once(self, attempts: Attempts) -> int:
        """Trials that Tune gets before one has ended.

        On a machine, none waits for a slot: a search hears what was found before it is asked.
        """
        if not self._address:
            return self._n_slots
        if time.monotonic() - self._counted > _COUNT_EVERY_S:
            self._count_slots()
        return most_trials(self._n_slots, self._cpu, self._gpu, adapts=attempts.adapts)

    def _patience(self, attempts: Attempts, folder: Path | None) -> Patience:
        """What happens when no worker comes: on a cluster a line a minute, else an error."""
        needs = f"{self._cpu:g} CPUs" + (f" and {self._gpu:g} GPUs" if self._gpu else "")

        def say(minutes: int) -> None:
            total = ray.cluster_resources()
            attempts.say(
                f"no worker after {minutes} min: a trial needs {needs}; the cluster has "
                f"{total.get('CPU', 0):g} CPUs and {total.get('GPU', 0):g} GPUs on "
                f"{len([node for node in ray.nodes() if node['Alive']])} nodes; waiting "
                "(`ray status` on the head says for what)"
            )

        def end() -> NoReturn:
            raise UserError(
                f"no Ray worker started within {WORKER_TIMEOUT_S:g} s",
                hint=last_words(folder) if folder else "",
            )

        return Patience(on_wait=say) if self._address else Patience(on_end=end)

    def _channel(self, job: Job, messages: Messages) -> dict[str, Any]:
        """How a worker and the driver reach each other: by disk on one node, else by an actor."""
        node = ray.get_runtime_context().get_node_id()
        if not self._address:
            return {"node": node, "mailbox": None, "messages": messages}
        pinned = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)
        mailbox = Mailbox.options(  # type: ignore[attr-defined]
            scheduling_strategy=pinned
        ).remote(str(job.staging_root), messages)
        return {"node": node, "mailbox": mailbox, "messages": messages}
