"""The benchmarks run, and hold both sides against one certificate."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

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
