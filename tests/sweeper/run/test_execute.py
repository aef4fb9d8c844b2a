"""What passes through `execute`, and what becomes an outcome."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_kinds import BOWL

from sweeper.errors import DiskFull
from sweeper.records import Outcome, TrialSpec, TrialState
from sweeper.run.driver.interrupts import TrialInterrupted
from sweeper.run.worker import execute as module
from sweeper.run.worker.execute import OutOfMemory, TrialStopped, execute
from trials.api import Config, Context, TrialResult


@pytest.fixture
def attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """`attempt(run)` executes a trial of a kind that does `run(config, context)`."""

    def execute_run(
        run: Callable[[Config, Context], TrialResult],
        *,
        planned: dict[str, str] | None = None,
        found: dict[str, str] | None = None,
        **options: Any,
    ) -> Outcome:
        kind = replace(BOWL, run=run, input_digests=lambda config: found or {})
        monkeypatch.setattr(module, "load_kind", lambda name: kind)
        (tmp_path / "artifacts").mkdir(exist_ok=True)
        return execute(
            TrialSpec(key="k", kind="bowl", kind_version=1, config={}, input_digests=planned or {}),
            artifact_dir=tmp_path / "artifacts",
            checkpoint_dir=tmp_path / "checkpoint",
            device="cpu",
            n_threads=1,
            report=lambda step, metrics: None,
            fetch_artifact=lambda run_id, path, into: into / path,
            **options,
        )

    return execute_run


def raising(error: BaseException) -> Callable[[Config, Context], TrialResult]:
    def run(config: Config, context: Context) -> TrialResult:
        (context.checkpoint_dir / "step").write_text("7")
        raise error

    return run


def test_a_trial_whose_input_was_replaced_since_it_was_planned_does_not_run(
    attempt: Callable[..., Outcome],
) -> None:
    """Its key names the former input."""

    def run(config: Config, context: Context) -> TrialResult:
        raise AssertionError("ran")

    done = attempt(run, planned={"source": "a" * 64}, found={"source": "b" * 64})
    assert done.state is TrialState.FAILED
    assert "input 'source' was replaced while the sweep ran" in done.error


def test_no_kind_catches_a_stop_or_an_interruption(attempt: Callable[..., Outcome]) -> None:
    def greedy(config: Config, context: Context) -> TrialResult:
        try:
            context.report(1, {})
        except Exception:
            pytest.fail("caught")
        raise AssertionError

    def stop(error: type[BaseException]) -> Callable[[Config, Context], TrialResult]:
        def run(config: Config, context: Context) -> TrialResult:
            def report(step: int, metrics: Any) -> None:
                raise error

            return greedy(config, context._replace(report=report))

        return run

    assert attempt(stop(TrialStopped)).state is TrialState.PRUNED
    with pytest.raises(TrialInterrupted):
        attempt(stop(TrialInterrupted))


def test_a_checkpoint_outlives_whatever_becomes_of_the_attempt(
    attempt: Callable[..., Outcome], tmp_path: Path
) -> None:
    assert attempt(raising(ValueError("a bug"))).state is TrialState.FAILED
    assert (tmp_path / "checkpoint" / "step").read_text() == "7"


def test_a_trial_asks_whether_it_is_interrupted(attempt: Callable[..., Outcome]) -> None:
    answers = []

    def run(config: Config, context: Context) -> TrialResult:
        answers.append(context.interrupted())
        raise TrialInterrupted

    for options in ({}, {"interrupted": lambda: True}):
        with pytest.raises(TrialInterrupted):
            attempt(run, **options)
    assert answers == [False, True]


def test_a_kind_that_asks_is_told_before_it_is_ended(attempt: Callable[..., Outcome]) -> None:
    """The request comes between the kind's question and its report: its checkpoint is missing."""
    answers = iter([False, True])
    steps = []

    def run(config: Config, context: Context) -> TrialResult:
        while True:
            steps.append(context.interrupted())
            context.report(len(steps), {})

    with pytest.raises(TrialInterrupted):
        attempt(run, interrupted=lambda: next(answers))
    assert steps == [False, True]


def test_a_kind_that_never_asks_is_ended_at_its_report(attempt: Callable[..., Outcome]) -> None:
    def run(config: Config, context: Context) -> TrialResult:
        context.report(1, {})
        raise AssertionError

    with pytest.raises(TrialInterrupted):
        attempt(run, interrupted=lambda: True)


def test_want_of_memory_is_not_the_trials_fault(attempt: Callable[..., Outcome]) -> None:
    def numpy(config: Config, context: Context) -> TrialResult:
        np.empty(1 << 60, dtype=np.uint8)
        raise AssertionError

    def torch(config: Config, context: Context) -> TrialResult:
        import torch

        torch.empty(1 << 60, dtype=torch.uint8)
        raise AssertionError

    def gpu(config: Config, context: Context) -> TrialResult:
        import torch

        raise torch.OutOfMemoryError("CUDA out of memory")

    for run in (numpy, torch, gpu):
        with pytest.raises(OutOfMemory, match=r"allocate|CUDA out of memory"):
            attempt(run)


def test_a_full_disk_is_not_the_trials_fault(attempt: Callable[..., Outcome]) -> None:
    with pytest.raises(DiskFull, match="disk full: /data/checkpoint"):
        attempt(raising(OSError(errno.ENOSPC, "No space left on device", "/data/checkpoint")))
    missing = attempt(raising(FileNotFoundError(errno.ENOENT, "No such file", "rows.npy")))
    assert missing.state is TrialState.FAILED


def test_copies_of_artifacts_go_with_the_trial(attempt: Callable[..., Outcome]) -> None:
    seen: list[Path] = []

    def run(config: Config, context: Context) -> TrialResult:
        copy = context.fetch_artifact("other", "atoms.csv")
        copy.write_text("atom")
        seen.extend((copy, context.work_dir))
        assert not list(context.work_dir.iterdir())
        raise ValueError("enough")

    assert attempt(run).error == "ValueError: enough"
    assert not any(path.exists() for path in seen)
