"""Running sweeps of the toy kind into a fresh store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sweeper.declare.loading import load_sweep
from sweeper.declare.sweep import Sweep
from sweeper.records import TrialRow
from sweeper.run.driver.drive import SweepRun, run_sweep
from sweeper.run.inprocess import InProcessRunner
from sweeper.run.tune_runner import TuneRunner
from sweeper.store.location import locate_store
from sweeper.store.tracking import Tracking


@pytest.fixture(scope="session")
def tune_runner() -> Iterator[Callable[[], TuneRunner]]:
    """Tune runners on one Ray of two CPUs, started once: starting it costs seconds."""
    ray = pytest.importorskip("ray")
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield lambda: TuneRunner(1, 0)
    ray.shutdown()


@pytest.fixture(params=["in-process", "tune"])
def make_runner(request: pytest.FixtureRequest) -> Callable[[], Any]:
    """Every runner in turn."""
    if request.param == "in-process":
        return InProcessRunner
    made: Callable[[], Any] = request.getfixturevalue("tune_runner")
    return made


@pytest.fixture
def run(store_dir: Path, write_sweep: Callable[..., Path]) -> Callable[..., SweepRun]:
    """`run(text)` writes a sweep file and runs it, in this process unless a runner is given."""

    def run_text(text: str, runner: Any = None, name: str = "bowls", **options: Any) -> SweepRun:
        return run_sweep(
            load_sweep(str(write_sweep(text, name))),
            locate_store(str(store_dir)),
            runner or InProcessRunner(),
            **{
                "console": Console(stderr=True, quiet=True),
                "make_report": write_names,
                **options,
            },
        )

    return run_text


def write_names(path: Path, sweep: Sweep, rows: list[TrialRow]) -> None:
    """A report that is quick to write."""
    path.write_text("\n".join(row.label for row in rows))


@pytest.fixture
def tracking(store_dir: Path) -> Tracking:
    """The store that `run` writes to."""
    return Tracking(locate_store(str(store_dir)))
