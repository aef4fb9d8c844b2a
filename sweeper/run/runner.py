"""The interface that every runner has, and what a worker is told besides its trial."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from sweeper import errors
from sweeper.declare.sweep import Sweep
from sweeper.errors import UserError
from sweeper.records import Record
from sweeper.run.driver.attempts import Attempts
from sweeper.store.location import Store
from sweeper.store.opening import open_results
from trials.api import NoSuchArtifact, TrialError


class Job(Record):
    """Where and with what the trials of a sweep run.

    Relative paths in a config are relative to `working_dir`, the driver's own.
    """

    sweep: str
    working_dir: Path
    cpu: float
    gpu: float
    memory_gib: float | None = None
    staging_root: Path
    checkpoint_root: Path
    store_root: Path
    tracking_uri: str
    artifact_root: str

    @property
    def n_threads(self) -> int:
        """Threads a trial may use: its CPU share, at least one."""
        return max(1, int(self.cpu))

    @property
    def device(self) -> str:
        """The torch device of a trial."""
        return "cuda:0" if self.gpu > 0 else "cpu"


def make_job(sweep: Sweep, store: Store, staging_root: Path) -> Job:
    """The job of a sweep that this process drives."""
    return Job(
        sweep=sweep.name,
        working_dir=Path.cwd(),
        cpu=sweep.resources.cpu,
        gpu=sweep.resources.gpu,
        memory_gib=sweep.limits.memory_gib,
        staging_root=staging_root,
        checkpoint_root=store.sweep_dir(sweep.name) / "checkpoints",
        store_root=store.root,
        tracking_uri=store.tracking_uri,
        artifact_root=store.artifact_root,
    )


FetchInto = Callable[[str, str, Path], Path]
"""`fetch(run_id, path, into)`: a verified artifact, copied below a folder if it is elsewhere."""


class Runner(Protocol):
    """Runs what it is supplied with until there is no more."""

    @property
    def n_slots(self) -> int:
        """Trials that run at once (for the time left)."""

    @property
    def runs_here(self) -> bool:
        """Whether trials run on this machine."""

    @property
    def n_cpus(self) -> float:
        """CPUs that a trial can reserve; infinite where that is not known or not enforced."""

    def run(self, attempts: Attempts, job: Job) -> None:
        """Run every trial of `attempts`, and tell it what became of each.

        A trial's failure is an outcome; only a broken machine raises.
        """


def artifact_fetcher(job: Job) -> FetchInto:
    """`fetch(run_id, path, into)`, as `Results.fetch_artifact`; opens the store when it is used."""

    def fetch(run_id: str, path: str, into: Path) -> Path:
        store = Store(job.store_root, job.tracking_uri, job.artifact_root)
        try:
            return open_results(store).fetch_artifact(run_id, path, into)
        except errors.NoSuchArtifact as error:
            raise NoSuchArtifact(str(error)) from error
        except UserError as error:  # a kind knows the contract's errors only
            raise TrialError(str(error)) from error

    return fetch
