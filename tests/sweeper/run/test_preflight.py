"""Sweeps that cannot go well are refused before anything runs or is written."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toy_kinds import BOWL

from sweeper.declare.search import Resources
from sweeper.errors import NoDevice, UserError
from sweeper.records import Outcome, TrialState
from sweeper.run import preflight
from sweeper.run.driver.attempts import Attempts
from sweeper.run.driver.drive import SweepRun
from sweeper.run.inprocess import InProcessRunner
from sweeper.run.plan import Retry
from sweeper.run.runner import Job
from sweeper.run.runners import make_runner
from sweeper.run.worker import execute as execute_module
from sweeper.store.fsck.check import repair
from sweeper.store.journal import read_journal, replay
from sweeper.store.location import locate_store
from sweeper.store.tracking import Tracking
from tests.sweeper.run.bowls import FIVE
from tests.sweeper.run.test_interrupts import wait_until
from trials import machine

ON_GPU = "kind: bowl\nspace: {x: [0.0, 1.0]}\nresources: {gpu: 1}\n"
CPU_BUILD = "__version__ = '2.13.0+cpu'\ncuda: Optional[str] = None\nhip: Optional[str] = None\n"
CUDA_BUILD = "__version__ = '2.13.0+cu130'\ncuda: Optional[str] = '13.0'\n"


# ---- GPUs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "visible", "devices", "said"),
    [
        (CPU_BUILD, "0", ("null",), "torch 2.13.0+cpu is built for the CPU only; install a GPU"),
        (CUDA_BUILD, "", ("null",), "CUDA_VISIBLE_DEVICES hides every GPU"),
        (CUDA_BUILD, "0", ("no-such-device",), "this machine has no GPU; or set it to 0"),
    ],
)
def test_a_gpu_that_torch_cannot_use_is_told_before_the_first_trial(
    run: Callable[..., SweepRun],
    store_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    visible: str,
    devices: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.setattr(preflight, "_torch_version", lambda: version)
    monkeypatch.setattr(preflight, "_DEVICES", devices)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(UserError) as caught:
        run(ON_GPU)
    assert f"bowls.yaml: resources.gpu 1: {said}" in str(caught.value)
    assert not (store_dir / "sweeps").exists()


def test_what_torch_was_built_for_is_read_without_importing_it() -> None:
    import torch

    text = preflight._torch_version()
    assert torch.__version__ in text


def test_a_trial_without_a_gpu_is_no_result_and_runs_where_there_is_one(
    run: Callable[..., SweepRun],
    store_dir: Path,
    tracking: Tracking,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def without_gpu(config: Any, context: Any) -> Any:
        raise AssertionError("Torch not compiled with CUDA enabled")

    monkeypatch.setattr(preflight, "_refuse_without_gpu", lambda sweep: None)
    with monkeypatch.context() as here:
        here.setattr(execute_module, "load_kind", lambda name: replace(BOWL, run=without_gpu))
        with pytest.raises(NoDevice, match="no GPU for a trial: Torch not compiled with CUDA"):
            run(ON_GPU)
    assert not [row for row in tracking.results.rows() if row.state == TrialState.FAILED]
    history = replay(read_journal(store_dir / "sweeps" / "bowls" / "journal.log"))
    assert (len(history.unfinished), history.outcomes) == (1, {})
    on_cpu = run(ON_GPU.replace("gpu: 1", "gpu: 0"))
    assert [row.state for row in on_cpu.rows] == ["COMPLETE", "COMPLETE"]


def test_more_cores_than_there_are_are_refused_before_anything_is_written(
    run: Callable[..., SweepRun], store_dir: Path
) -> None:
    runner = make_runner(Resources(cpu=4096), in_process=False)
    with pytest.raises(UserError) as caught:
        run("kind: bowl\nspace: {x: [0.0]}\nresources: {cpu: 4096}\n", runner)
    there = machine.n_cpus()
    said = f"resources.cpu: a trial asks for 4096 cores, and this machine grants {there}"
    assert said in str(caught.value)
    assert str(caught.value).endswith(f"set it to {there} or less")
    assert not (store_dir / "sweeps" / "bowls").exists()


# ---- what was deleted in MLflow --------------------------------------------------------------


def test_a_deleted_sweep_is_refused_and_fsck_restores_it(
    run: Callable[..., SweepRun], store_dir: Path, tracking: Tracking
) -> None:
    run(FIVE)
    client = tracking._client
    client.delete_experiment(client.get_experiment_by_name("bowls").experiment_id)
    with pytest.raises(UserError) as caught:
        run(FIVE)
    assert str(caught.value) == (
        "sweep 'bowls' was deleted in MLflow; restore it (MLflow's UI, or `sweeper fsck --repair "
        "bowls`), or remove it (`sweeper rm bowls`) and run it anew"
    )
    [verdict] = repair(locate_store(str(store_dir)), ["bowls"])
    assert (verdict.disagreements, {d.what for d in verdict.repaired}) == ([], {"missing"})
    assert run(FIVE).n_run == 0


@pytest.mark.parametrize("retry", [Retry(deleted=True), Retry(everything=True)])
def test_a_deleted_sweep_is_refused_whatever_is_retried(
    run: Callable[..., SweepRun], tracking: Tracking, retry: Retry
) -> None:
    run(FIVE)
    client = tracking._client
    client.delete_experiment(client.get_experiment_by_name("bowls").experiment_id)
    with pytest.raises(UserError, match=r"^sweep 'bowls' was deleted in MLflow; restore it"):
        run(FIVE, retry=retry)


@pytest.mark.parametrize("n_shipped", [0, 1])
def test_a_sweep_that_is_deleted_while_it_runs_is_said_at_once_and_can_be_restored(
    run: Callable[..., SweepRun], store_dir: Path, tracking: Tracking, n_shipped: int
) -> None:
    client = tracking._client
    run("kind: bowl\nspace: {x: [-1.0]}\n")

    class Deleting(InProcessRunner):
        def run(self, attempts: Attempts, job: Job) -> None:
            spec = attempts.next()
            assert spec is not None
            if n_shipped:
                attempts.started(spec.key)
                wait_until(lambda: len(tracking.results.rows()) == 2)
            client.delete_experiment(client.get_experiment_by_name("bowls").experiment_id)
            if not n_shipped:
                attempts.started(spec.key)
            attempts.reported(spec.key, 1, {"loss_validation": 1.0})
            ended = Outcome(key=spec.key, state=TrialState.COMPLETE, started_ms=1, ended_ms=2)
            attempts.finished(ended)
            super().run(attempts, job)

    began = time.monotonic()
    done = run(FIVE.replace("space", "fixed: {n_steps: 1}\nspace"), Deleting())
    assert time.monotonic() - began < 60, "the driver waits 120 s for a store that is away"
    assert (done.n_run, done.n_unshipped > 0) == (5, True)
    assert "sweep 'bowls' was deleted in MLflow; restore it" in done.ship_error
    [verdict] = repair(locate_store(str(store_dir)), ["bowls"])
    assert not verdict.disagreements


def test_deleted_trials_are_refused_until_they_are_restored_or_run_again(
    run: Callable[..., SweepRun], store_dir: Path, tracking: Tracking
) -> None:
    run(FIVE)
    for row in tracking.results.rows()[:2]:
        tracking._client.delete_run(row.run_id)
    with pytest.raises(UserError, match="sweep 'bowls': 2 of its trials were deleted in MLflow"):
        run(FIVE)
    assert run("kind: bowl\nspace: {x: [1.0]}\n").n_run == 0, "others are not asked for"
    [verdict] = repair(locate_store(str(store_dir)), ["bowls"])
    assert (verdict.disagreements, len(verdict.repaired)) == ([], 2)
    assert run(FIVE).n_run == 0

    for row in tracking.results.rows()[:2]:
        tracking._client.delete_run(row.run_id)
    assert run(FIVE, retry=Retry(deleted=True)).n_run == 2
    assert run(FIVE).n_run == 0, "a trial with another run is not missing"
    [verdict] = repair(locate_store(str(store_dir)), ["bowls"])
    assert (verdict.disagreements, list(verdict.repaired)) == ([], [])


def test_deleted_trials_come_back_where_no_driver_of_this_folder_ran_them(
    run: Callable[..., SweepRun], store_dir: Path, tracking: Tracking
) -> None:
    run(FIVE)
    (store_dir / "sweeps" / "bowls" / "journal.log").unlink()
    tracking._client.delete_run(tracking.results.rows()[0].run_id)
    [verdict] = repair(locate_store(str(store_dir)), ["bowls"])
    assert not verdict.disagreements
    assert "deleted" in {d.what for d in verdict.repaired}
    assert len(tracking.results.rows()) == 5


# ---- failures in a row -----------------------------------------------------------------------

FAILING = "kind: bowl\nfixed: {fate: raise}\nspace: {x: {low: -2.0, high: 2.0, points: 12}}\n"


def test_equal_failures_in_a_row_end_the_sweep(run: Callable[..., SweepRun]) -> None:
    done = run(FAILING)
    assert [row.state for row in done.rows] == ["FAILED"] * 5
    assert done.ending == (
        1,
        "stopped: 5 trials in a row failed with the same error (ZeroDivisionError: the bowl has a "
        "hole); 7 trials left to run: remove the cause, then rerun with --retry failed",
    )


@pytest.mark.parametrize(("limit", "n_run"), [("2", 2), ("0", 12), ("null", 12)])
def test_how_many_may_fail_is_in_the_sweep_file(
    run: Callable[..., SweepRun], limit: str, n_run: int
) -> None:
    assert len(run(f"{FAILING}limits: {{equal_failures: {limit}}}\n").rows) == n_run


def test_failures_that_say_nothing_of_the_next_trial_end_no_sweep(
    run: Callable[..., SweepRun],
) -> None:
    limit = "limits: {equal_failures: 3}\n"
    nan = run(f"kind: bowl\nfixed: {{fate: nan}}\nspace: {{x: {list(range(-2, 3))}}}\n{limit}")
    assert len(nan.rows) == 5, "an objective that is not finite was measured"
    text = f"kind: bowl\nspace: {{fate: [well, raise, nan]}}\nseeds: 4\n{limit}"
    assert len(run(text, name="corner").rows) == 12, "one bad setting, whatever its seeds"


# ---- folders ---------------------------------------------------------------------------------


def test_a_file_where_a_folder_belongs_is_told_before_the_first_trial(
    run: Callable[..., SweepRun], store_dir: Path
) -> None:
    (store_dir / "artifacts").write_text("")
    with pytest.raises(UserError, match="artifacts: is a file, where a folder of the store"):
        run(FIVE)
    assert not (store_dir / "sweeps").exists()
