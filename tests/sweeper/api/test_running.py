"""Sweeps that a Python program declares, plans and runs."""

from __future__ import annotations

import dataclasses
import inspect
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sweeper
import sweeper.run.plan
from sweeper.api.sweeps import load
from sweeper.cli import main
from trials import load_kind

BOWLS = sweeper.Sweep("bowls", kind="bowl", space={"x": [0.0, 1.0]})


def run(sweep: Any, store: Path, **options: Any) -> sweeper.Result:
    return sweeper.run(sweep, store=store, in_process=True, progress=False, **options)


def test_a_sweep_in_python_runs_and_is_reused(store_dir: Path) -> None:
    first = run(BOWLS, store_dir)
    again = run(BOWLS, store_dir)
    assert (first.name, first.n_run, first.n_failed, first.note) == ("bowls", 2, 0, "")
    assert (again.n_run, len(again.trials)) == (0, 2)
    assert set(first.trials["x"]) == {0.0, 1.0}
    assert first.report is not None
    assert first.report.exists()
    assert len(first.store.trials()) == 2
    assert "bowls: 2 trials: 2 run now, 0 reused, 0 failed" in str(first)
    assert "report.html" in first._repr_html_()


def test_the_command_line_reuses_what_python_ran(
    store_dir: Path, write_sweep: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    run(BOWLS, store_dir)
    path = write_sweep("kind: bowl\nspace: {x: [0.0, 1.0]}\n")
    with pytest.raises(SystemExit) as ended:
        main(["run", str(path), "--in-process", "--store", str(store_dir)])
    assert ended.value.code == 0
    assert "2 trials: 0 run now, 2 reused, 0 failed" in capfd.readouterr().err


def test_a_path_and_a_ready_made_name_are_sweeps(write_sweep: Callable[..., Path]) -> None:
    path = write_sweep("kind: bowl\nspace: {x: [0.0, 1.0]}\n")
    assert "valid; kind bowl, varies x" in sweeper.check(path)
    assert "valid; kind pursuit" in sweeper.check("pursuit")


def test_a_sweep_in_python_is_the_sweep_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "bowls.yaml").write_text(BOWLS.to_yaml())
    written, given = load(tmp_path / "bowls.yaml"), load(BOWLS)
    assert written.model_dump(exclude={"document"}) == given.model_dump(exclude={"document"})


def test_values_of_numpy_and_tuples_are_read(store_dir: Path) -> None:
    bowls = sweeper.Sweep(
        "bowls",
        kind="bowl",
        fixed={"source": Path("rows"), "depth": np.int64(2)},
        space={"x": np.linspace(0, 1, 3)},
        seeds=(1, 2),
    )
    found = load(bowls)
    assert found.fixed == {"source": "rows", "depth": 2}
    assert found.space["x"].ends() == (0.0, 0.5, 1.0)
    assert found.seeds == (1, 2)


def test_set_changes_a_sweep(store_dir: Path) -> None:
    done = run(BOWLS, store_dir, set={"depth": 3, "x": [0.5], "seeds": 2})
    assert set(done.trials["depth"]) == {3}
    assert len(done.trials) == 2
    assert sweeper.check(BOWLS, set=["depth=3"]) == sweeper.check(BOWLS, set={"depth": 3})


@pytest.mark.parametrize(
    ("sweep", "options", "line"),
    [
        (sweeper.Sweep("a/b", kind="bowl"), {}, "Sweep('a/b'): not the name of a sweep"),
        (sweeper.Sweep("a", kind="bowl", fixed={"y": 1}), {}, "Sweep('a'): fixed.y: unknown field"),
        (sweeper.Sweep("a", kind="bowls"), {}, "did you mean 'bowl'?"),
        (sweeper.Sweep("a", kind="bowl", fixed={"x": object()}), {}, "a value of type object"),
        (sweeper.Sweep("a", kind="bowl", fixed={"x": float("nan")}), {}, "must be finite"),
        (BOWLS, {"set": {"deep": 1}}, "set deep: unknown field or key 'deep'; did you mean"),
        (BOWLS, {"set": {"depth": 9}}, "set depth"),
        (BOWLS, {"set": {"": 9}}, "not the name of a field"),
        ("pursuits", {}, "did you mean 'pursuit'?"),
        (Path("nothing.yaml"), {}, "no such file"),
    ],
)
def test_a_mistake_is_one_line(sweep: Any, options: dict[str, Any], line: str) -> None:
    with pytest.raises(sweeper.UserError) as refused:
        sweeper.check(sweep, **options)
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_unknown_word_for_retry_is_refused(store_dir: Path) -> None:
    with pytest.raises(sweeper.UserError, match="unknown word 'fail'; did you mean 'failed'"):
        run(BOWLS, store_dir, retry=["fail"])


def test_a_failed_trial_is_counted_and_retried(store_dir: Path) -> None:
    raising = sweeper.Sweep("bowls", kind="bowl", fixed={"fate": "raise"}, space={"x": [0.0]})
    assert run(raising, store_dir).n_failed == 1
    assert run(raising, store_dir).n_run == 0
    assert run(raising, store_dir, retry=["failed"]).n_run == 1


def test_a_plan_counts_what_exists(store_dir: Path) -> None:
    run(BOWLS, store_dir)
    plan = sweeper.plan(BOWLS, set={"x": [0.0, 0.5, 1.0]}, store=store_dir)
    assert (plan.n_trials, plan.n_existing, plan.n_new) == (3, 2, 1)
    assert str(plan).startswith("3 trials: 2 exist, 1 to run\n")
    assert "3 trials: 2 exist, 1 to run" in plan._repr_html_()


def test_what_must_run_first_is_planned_and_run_first(
    store_dir: Path, write_sweep: Callable[..., Path]
) -> None:
    write_sweep("kind: bowl\nspace: {x: [0.0, 1.0]}\n", "before")
    later = sweeper.Sweep("later", kind="bowl", space={"x": [0.5]}, after="before.yaml")
    plan = sweeper.plan(later, store=store_dir)
    assert (plan.n_new, plan.note) == (
        2,
        "first, before; then later: its trials are known when these are",
    )
    assert run(later, store_dir).name == "later"
    assert list(sweeper.open_store(store_dir).sweeps()["sweep"]) == ["before", "later"]
    assert sweeper.plan(later, store=store_dir).n_trials == 1


def test_a_failure_in_what_must_run_first_is_an_error(
    store_dir: Path, write_sweep: Callable[..., Path]
) -> None:
    write_sweep("kind: bowl\nfixed: {fate: raise}\nspace: {x: [0.0]}\n", "before")
    later = sweeper.Sweep("later", kind="bowl", space={"x": [0.5]}, after="before.yaml")
    with pytest.raises(sweeper.UserError, match="before, which must run before later: 1 trial"):
        run(later, store_dir)


def test_an_interrupt_finishes_the_trial_stores_it_and_raises(
    store_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bowl = load_kind("bowl")

    def interrupted(config: Any, context: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return bowl.execute(config, context)

    with monkeypatch.context() as patched:
        patched.setattr(
            "sweeper.run.worker.execute.load_kind",
            lambda name: dataclasses.replace(bowl, run=interrupted),
        )
        with pytest.raises(KeyboardInterrupt, match="rerun the same command to resume"):
            run(BOWLS, store_dir)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert list(sweeper.open_store(store_dir).trials()["state"]) == ["COMPLETE"]
    assert run(BOWLS, store_dir).n_run == 1


def test_run_is_a_function_and_a_package() -> None:
    assert sweeper.run.plan.make_plan is not None
    assert list(inspect.signature(sweeper.run).parameters)[:2] == ["sweep", "set"]
    assert callable(sweeper.run)
