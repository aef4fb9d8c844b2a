"""Sixteen numbers at a time: what numpy says of them, on this processor and on a plain one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import njit

from trials.kernels.compiled.simd import (
    N_LANES,
    add_all_scaled,
    add_scaled,
    append_outside,
    count_above,
)

ROOT = Path(__file__).parents[4]
KINDS = [np.float32, np.float64]


@njit
def _append(values: Any, first: Any, low: Any, high: Any, picks: Any, n: Any) -> Any:
    return append_outside(values, first, low, high, picks, n)


@njit
def _count(values: Any, first: Any, level: Any) -> Any:
    return count_above(values, first, level)


@njit
def _add(out: Any, first: Any, factor: Any, matrix: Any, row: Any) -> None:
    add_scaled(out, first, factor, matrix, row)


@njit
def _add_all(out: Any, first: Any, matrix: Any, rows: Any, factors: Any, n: Any) -> None:
    add_all_scaled(out, first, matrix, rows, factors, n)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("low", "high"), [(-0.5, 0.5), (0.0, 0.0), (-np.inf, 1.0), (-9.0, 9.0), (1.0, -1.0)]
)
def test_what_lies_outside_is_appended_in_order_and_nothing_else(
    kind: type, low: float, high: float
) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        values = rng.standard_normal(40).astype(kind)
        values[rng.integers(0, 40, 8)] = 0
        picks = np.full(40, 77, np.uint32)
        n = _append(values, 11, kind(low), kind(high), picks, 3)
        lanes = values[11 : 11 + N_LANES]
        expected = 11 + np.flatnonzero((lanes < low) | (lanes > high))
        np.testing.assert_array_equal(picks[3:n], expected)
        assert (picks[:3] == 77).all()
        assert (picks[3 + N_LANES :] == 77).all()


@pytest.mark.parametrize("kind", KINDS)
def test_counts_what_is_above_and_not_what_is_equal(kind: type) -> None:
    values = np.arange(40, dtype=kind)
    assert _count(values, 4, kind(10)) == 9
    assert _count(values, 4, kind(19)) == 0
    assert _count(values, 4, kind(-1)) == N_LANES


@pytest.mark.parametrize("kind", KINDS)
def test_adds_a_scaled_row_to_sixteen_numbers_alone(kind: type) -> None:
    rng = np.random.default_rng(1)
    matrix, out = rng.standard_normal((5, 40)).astype(kind), rng.standard_normal(40).astype(kind)
    expected = out.copy()
    expected[8:24] += kind(0.3) * matrix[3, 8:24]
    _add(out, 8, kind(0.3), matrix, 3)
    np.testing.assert_allclose(out, expected, rtol=0, atol=4 * np.finfo(kind).eps)
    np.testing.assert_array_equal(out[:8], expected[:8])
    np.testing.assert_array_equal(out[24:], expected[24:])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [0, 1, 2, 7, 12])
def test_adds_scaled_rows_to_thirty_two_numbers_alone(kind: type, n: int) -> None:
    rng = np.random.default_rng(n)
    whole = rng.standard_normal((20, 96)).astype(kind)
    matrix = whole[:, :80]  # rows further apart than they are long
    rows = rng.integers(0, 20, 12).astype(np.uint32)
    factors, out = rng.standard_normal(12).astype(kind), rng.standard_normal(80).astype(kind)
    expected = out.astype(float)
    expected[32:64] += factors[:n].astype(float) @ matrix[rows[:n], 32:64]
    _add_all(out, 32, matrix, rows, factors, n)
    np.testing.assert_allclose(out, expected, rtol=0, atol=40 * np.finfo(kind).eps)
    np.testing.assert_array_equal(out[:32], expected[:32])
    np.testing.assert_array_equal(out[64:], expected[64:])


_CERTIFIED = """
import numpy as np
from trials.kernels.sparse_coding.lasso import lasso_codes, lasso_path
rng = np.random.default_rng(0)
atoms = rng.standard_normal((90, 20)).astype(np.float32)
atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
signals = rng.standard_normal((70, 20)).astype(np.float32)
codes = lasso_codes(signals, atoms, l1_penalty=0.4, n_threads=1)
path = lasso_path(signals, atoms, l1_penalties=np.array([0.6, 0.4]), n_threads=1)
assert codes.codes.nnz > 200
assert max(codes.gap.max(), path[0].gap.max(), path[1].gap.max()) <= 1e-5
"""


def test_codes_are_certified_on_a_processor_without_such_registers(tmp_path: Path) -> None:
    """All of it compiled for the plainest processor of this kind."""
    plain = {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_CACHE_DIR": str(tmp_path),
        "SWEEPER_COMPILING_KERNELS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", _CERTIFIED],
        env={**os.environ, **plain},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
