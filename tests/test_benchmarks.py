"""The benchmarks run, and hold both sides against one certificate."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

PROJECT = Path(__file__).parent.parent


def quick_row(program: str, tmp_path: Path) -> dict[str, str]:
    """Run a benchmark on a random matrix; its one row, by column."""
    pytest.importorskip("spams", reason="spams-bin is not installed")
    rows = np.random.default_rng(0).standard_normal((400, 64), dtype=np.float32)
    np.save(tmp_path / "rows.npy", rows)
    return one_row(program, "--source", f"file:{tmp_path / 'rows.npy'}")


def one_row(program: str, *options: str) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{program}", "--quick", *options],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    titles, row = (re.split(r"\s{2,}", line.strip()) for line in done.stdout.splitlines())
    return dict(zip(titles, row, strict=True))


def test_codes_of_both_sides_are_certified_and_alike(tmp_path: Path) -> None:
    row = quick_row("sparse_coding", tmp_path)
    assert row["peer"] == "SPAMS lasso"
    assert float(row["ratio"]) > 0
    assert float(row["peer gap"]) <= 1e-5
    assert 0 < float(row["our gap"]) <= 1e-5
    assert float(row["peer objective"]) == pytest.approx(float(row["our objective"]), rel=1e-5)
    assert float(row["peer L0"]) == pytest.approx(20, rel=0.1)
    assert float(row["our L0"]) == pytest.approx(20, rel=0.1)


def test_learning_reaches_the_objective_of_the_peer(tmp_path: Path) -> None:
    row = quick_row("dictionary_learning", tmp_path)
    assert row["peer"] == "SPAMS trainDL"
    assert float(row["peer s"]) >= 1
    assert float(row["peer gap"]) <= 1e-5
    assert 0 < float(row["our gap"]) <= 1e-5
    if row["ratio"] != "not reached":
        assert float(row["our objective"]) <= float(row["peer objective"])


def test_a_path_and_single_solves_are_certified_and_alike(tmp_path: Path) -> None:
    row = quick_row("penalty_path", tmp_path)
    assert row["peer"] == "4 solves"
    assert float(row["ratio"]) > 0
    assert 0 < float(row["peer gap"]) <= 1e-5
    assert 0 < float(row["our gap"]) <= 1e-5


def test_our_training_and_a_plain_loop_end_at_one_loss() -> None:
    row = one_row("training")
    assert row["peer"] == "plain PyTorch loop"
    assert float(row["ratio"]) > 0
    assert float(row["peer loss"]) == pytest.approx(float(row["our loss"]), abs=0.01)


def test_our_search_and_the_peer_are_held_against_the_best_there_is() -> None:
    program = [sys.executable, "-m", "benchmarks.search", "--quick"]
    done = subprocess.run(program, cwd=PROJECT, capture_output=True, text=True, check=True)
    titles, *rows = (re.split(r"\s{2,}", line.strip()) for line in done.stdout.splitlines())
    regret = {row[1]: float(row[titles.index("median")]) for row in rows}
    assert set(regret) == {"TPE", "ours", "ours, 2 at once"}
    assert 0 <= regret["ours"] < 0.02 < regret["TPE"] <= 1


def test_sides_that_cannot_be_compared_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(PROJECT)
    measure = importlib.import_module("benchmarks.measure")
    sparse = importlib.import_module("scipy.sparse")
    # Over orthonormal atoms the code is the soft-thresholded signal: 2 and 0 at a penalty of 1.
    signals, atoms = np.array([[3.0, 0.5]]), np.eye(2)
    best = measure.reached(signals, atoms, sparse.csr_array([[2.0, 0.0]]), 1.0)
    assert best.objective == pytest.approx(0.5 * (1 + 0.25) + 2)
    assert (best.gap, best.l0) == (pytest.approx(0, abs=1e-15), 1)
    wrong = measure.reached(signals, atoms, sparse.csr_array([[1.0, 0.0]]), 1.0)
    assert measure.wide_gaps(wrong, best, 1e-5)[0].startswith("the peer's worst gap is")
    assert measure.wide_gaps(best, best, 1e-5) == []
    assert measure.differing_objectives(wrong, best) == []  # its gap owns up to the difference
    claimed = wrong._replace(slack=0.0)
    assert measure.differing_objectives(claimed, best)[0].startswith("objectives differ")


def test_the_ratio_is_the_median_over_pairs_of_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(PROJECT)
    measure = importlib.import_module("benchmarks.measure")
    assert measure.Times(peer_s=[1.0, 8.0, 30.0], ours_s=[1.0, 2.0, 10.0]).ratio == 3.0


def test_a_question_to_a_store_has_the_answer_of_search_runs(tmp_path: Path) -> None:
    queries = importlib.import_module("benchmarks.queries")
    trial = queries.make_store(tmp_path, 30)
    peer = queries.run(queries._PEER, f"sqlite:///{tmp_path / 'mlflow.db'}")
    words = ["query", queries.FIVE, "--format", "json", "--store", str(tmp_path)]
    ours = queries.run(queries._SWEEPER, *words)
    queries.demand_equal(ours.output, peer.output)
    assert sum(group["n"] for group in json.loads(ours.output)) > 10
    assert 0.01 < ours.gigabytes < 10
    assert len(trial) == 32
    wrong = ours.output.replace(b'"n": ', b'"n": 1')
    with pytest.raises(SystemExit, match="n differs"):
        queries.demand_equal(wrong, peer.output)


@pytest.fixture
def gpu_check(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(PROJECT)
    return importlib.import_module("benchmarks.gpu_check")


def test_without_a_gpu_no_check_is_run_and_nothing_has_failed(
    gpu_check: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu_check", "--output", str(tmp_path / "found.json")])
    assert gpu_check.main() == 0
    checks = json.loads((tmp_path / "found.json").read_text())["checks"]
    assert set(checks) == set(gpu_check.CHECKS)
    assert all(each == {"status": "not run", "why": "no GPU at hand"} for each in checks.values())
    assert "finds no CUDA device: nothing was run on a GPU" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["equality", "speed_256000x2304", "gpt2_124m"])
def test_the_checks_for_a_gpu_pass_in_torch_on_the_cpu(gpu_check: ModuleType, name: str) -> None:
    numbers = gpu_check.CHECKS[name].run("cpu:0", True)
    assert numbers["passed"]
    assert json.loads(json.dumps(numbers)) == numbers


def test_workers_that_share_a_gpu_reach_one_objective(
    gpu_check: ModuleType, tmp_path: Path
) -> None:
    first, second = (gpu_check.work_together(tmp_path, 1, "cpu:0", True) for _ in range(2))
    assert first["objective"] == second["objective"]
    assert first["seconds"] > 0


def test_a_check_that_crashes_or_hangs_fails_by_itself(
    gpu_check: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def runs(program: str) -> None:
        monkeypatch.setattr(gpu_check, "_command", lambda *_: [sys.executable, "-c", program])

    runs("raise RuntimeError('CUDA error: an illegal memory access was encountered')")
    found = gpu_check.outcome_of("equality", "cuda:0", False, 60)
    assert found["status"] == "failed"
    assert found["why"] == "RuntimeError: CUDA error: an illegal memory access was encountered"
    runs("import time; time.sleep(60)")
    found = gpu_check.outcome_of("equality", "cuda:0", False, 0.1)
    assert found == {"status": "failed", "why": "took longer than 0 s"}
    runs('print(\'{"passed": false, "gap_max": 1.0}\')')
    found = gpu_check.outcome_of("equality", "cuda:0", False, 60)
    assert (found["status"], found["gap_max"]) == ("failed", 1.0)
