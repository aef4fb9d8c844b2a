"""Exact sparse codes of many signals over one dictionary, each with a proof of optimality.

`min_a 1/2 ||x - a D||^2 + l1_penalty ||a||_1`, one independent problem per signal (basis
pursuit denoising, Chen, Donoho and Saunders 1998). The solver is a batched working-set method (as
in Massias, Gramfort and Salmon, "Celer", 2018): one matrix product gives the correlations of a
block of residuals with all atoms; each signal then solves small problems on Gram sub-blocks, by
coordinate descent for the signs and conjugate gradients on the support (as in Moré and Toraldo,
"GPCG", 1991); the duality gap decides which signals of the block continue. Dense codes, and GPUs,
are left to ADMM (`device.admm`).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array, vstack

from trials.kernels.compiled import least_squares
from trials.kernels.compiled.cache import ensure_compiled
from trials.kernels.sparse_coding._block import block_size
from trials.kernels.sparse_coding.block_solver import BlockSolver, Solution, gram_matrix
from trials.kernels.sparse_coding.checks import (
    Penalty,
    check_codes,
    check_penalties,
    check_problem,
    check_tolerance,
)
from trials.kernels.sparse_coding.device.admm import admm_codes
from trials.kernels.sparse_coding.device.supports import largest_correlations, least_squares_values
from trials.kernels.threads import for_each_block, one_blas_thread, thread_count

# ADMM is faster than working sets above this share of atoms whose correlation with a signal exceeds
# its penalty. Measured on SmolLM2's rows over 576 and 1152 atoms, signed and nonnegative.
_DENSE, _DENSE_NONNEGATIVE = 0.87, 0.95
_SAMPLE, _SAMPLE_OF_ATOMS = 64, 1024


class LassoCodes(NamedTuple):
    """Sparse codes and their certificate.

    Attributes:
        codes: (n_signals, n_atoms); the reconstruction is `codes @ atoms`.
        gap: (n_signals,) duality gap over `1/2 ||x||^2`, in float64 from the returned codes: the
            objective is within `gap * 1/2 ||x||^2` of the minimum. 0 for zero signals.
        n_iterations: (n_signals,) working-set rounds, or ADMM steps.
    """

    codes: csr_array
    gap: Float[np.ndarray, " n_signals"]
    n_iterations: Int[np.ndarray, " n_signals"]


def lasso_codes(
    signals: Float[np.ndarray, "n_signals d_model"],
    atoms: Float[np.ndarray, "n_atoms d_dictionary"],
    *,
    l1_penalty: Penalty,
    nonnegative: bool = False,
    tolerance: float = 1e-5,
    warm_start: csr_array | None = None,
    n_threads: int | None = None,
    device: str = "cpu",
) -> LassoCodes:
    """Codes `min_a 1/2 ||x - a D||^2 + l1_penalty ||a||_1` of every signal (`a >= 0` on request).

    Args:
        signals: float32 signals are solved in float32 (reliable to a gap of about 1e-6), float64 in
            float64.
        atoms: rows of the dictionary, of any norm except zero. Cast to the type of the signals.
        l1_penalty: absolute and positive, one number or one per signal. Zero is refused: least
            squares has no sparse code to certify.
        tolerance: target relative duality gap. A signal that does not reach it is returned with
            the gap it has.
        warm_start: codes to start from, (n_signals, n_atoms).
        n_threads: all cores by default. The result does not depend on it.
        device: "cpu", or "cuda:0" for ADMM there. On the CPU, ADMM is also used where a sample of
            the signals shows that codes will use most of the atoms or of the dimensions: there
            it is faster.

    Raises:
        ValueError: shapes that do not match, NaN or infinity, a zero atom, a penalty that is not
            positive, a tolerance below 0, a negative warm start with `nonnegative`.
    """
    check_problem(signals, atoms)
    penalties = check_penalties(l1_penalty, len(signals))
    check_tolerance(tolerance)
    if warm_start is not None:
        check_codes("warm_start", warm_start, (len(signals), len(atoms)), nonnegative)
        if not warm_start.has_canonical_format:
            warm_start = warm_start.copy()
            warm_start.sum_duplicates()
    atoms = np.ascontiguousarray(atoms, dtype=signals.dtype)
    signals = np.ascontiguousarray(signals)
    problem = _Problem(signals, atoms, penalties, nonnegative, tolerance, thread_count(n_threads))
    if device != "cpu" or _expects_dense_codes(problem):
        solution = _solve_by_admm(problem, warm_start, device)
    else:
        solution = problem.solver().solve(signals, penalties, warm_start)
    return LassoCodes(solution.codes, solution.gap, solution.n_rounds)


class _Problem(NamedTuple):
    """Checked arguments: contiguous arrays of one type, one penalty per signal."""

    signals: np.ndarray
    atoms: np.ndarray
    penalties: np.ndarray
    nonnegative: bool
    tolerance: float
    n_threads: int

    def solver(self) -> BlockSolver:
        return BlockSolver(
            self.atoms,
            nonnegative=self.nonnegative,
            tolerance=self.tolerance,
            n_threads=self.n_threads,
        )


def _expects_dense_codes(problem: _Problem) -> bool:
    """Whether so many atoms violate optimality at zero codes that ADMM is faster."""
    every = -(-len(problem.signals) // _SAMPLE)
    atoms = problem.atoms[:: max(1, len(problem.atoms) // _SAMPLE_OF_ATOMS)]
    with one_blas_thread():  # BLAS threads keep spinning, and would compete with ours
        products = np.abs(problem.signals[::every] @ atoms.T)
    share = float((products > problem.penalties[::every, None]).mean())
    return share > (_DENSE_NONNEGATIVE if problem.nonnegative else _DENSE)


def _solve_by_admm(problem: _Problem, warm_start: csr_array | None, device: str) -> Solution:
    """ADMM, then working sets for signals short of the tolerance; the better code of both."""
    found = admm_codes(
        problem.signals,
        problem.atoms,
        problem.penalties,
        nonnegative=problem.nonnegative,
        tolerance=problem.tolerance,
        warm_start=warm_start,
        device=device,
        n_threads=problem.n_threads,
    )
    short = np.flatnonzero(found.gap > problem.tolerance)
    if not len(short):
        return found
    again = problem.solver().solve(
        problem.signals[short], problem.penalties[short], found.codes[short]
    )
    better = np.flatnonzero(again.gap < found.gap[short])
    rows = np.arange(len(problem.signals))
    rows[short[better]] = len(rows) + better
    both = [np.concatenate((a, b)) for a, b in zip(found[1:], again[1:], strict=True)]
    return Solution(
        vstack([found.codes, again.codes], format="csr")[rows], *(x[rows] for x in both)
    )


def lasso_path(
    signals: Float[np.ndarray, "n_signals d_model"],
    atoms: Float[np.ndarray, "n_atoms d_dictionary"],
    *,
    l1_penalties: Float[np.ndarray, "..."],
    nonnegative: bool = False,
    tolerance: float = 1e-5,
    n_threads: int | None = None,
) -> tuple[LassoCodes, ...]:
    """Codes of every signal along falling penalties, each certified; one result per penalty.

    Each signal follows its own path before the next begins, warm-started from the codes of the
    previous penalty: cheaper than one solve per penalty, and the same codes within the gaps.

    Args:
        l1_penalties: positive and falling; (n_penalties,), or (n_signals, n_penalties).
        signals, atoms, nonnegative, tolerance, n_threads: as in `lasso_codes`.

    Raises:
        ValueError: as `lasso_codes`; or penalties of another shape, or penalties that rise.
    """
    check_problem(signals, atoms)
    check_tolerance(tolerance)
    given = np.asarray(l1_penalties, dtype=np.float64)
    if (
        given.ndim not in (1, 2)
        or 0 in given.shape
        or given.shape[:-1] not in ((), (len(signals),))
    ):
        raise ValueError(
            f"l1_penalties has shape {given.shape}; it must be (n_penalties,) or "
            f"({len(signals)}, n_penalties)"
        )
    if not (np.isfinite(given).all() and (given > 0).all()):
        raise ValueError("l1_penalties must be positive and finite")
    if (np.diff(given, axis=-1) > 0).any():
        raise ValueError("l1_penalties must fall along the path")
    paths = np.broadcast_to(given, (len(signals), given.shape[-1]))
    atoms = np.ascontiguousarray(atoms, dtype=signals.dtype)
    solver = BlockSolver(
        atoms, nonnegative=nonnegative, tolerance=tolerance, n_threads=thread_count(n_threads)
    )
    found = solver.follow(np.ascontiguousarray(signals), paths)
    return tuple(LassoCodes(each.codes, each.gap, each.n_rounds) for each in found)


def critical_penalties(
    signals: Float[np.ndarray, "n_signals d_model"],
    atoms: Float[np.ndarray, "n_atoms d_dictionary"],
    *,
    nonnegative: bool = False,
    n_threads: int | None = None,
    device: str = "cpu",
) -> Float[np.ndarray, " n_signals"]:
    """Smallest penalty at which a code is zero: `max_j |<d_j, x>|`, in float64.

    With `nonnegative`, `max_j <d_j, x>` clipped at 0. Raises ValueError as `lasso_codes` does.
    """
    check_problem(signals, atoms)
    if device != "cpu":
        return largest_correlations(signals, atoms, device, signed=nonnegative)
    transposed = np.ascontiguousarray(atoms.T, dtype=np.float64)
    size = block_size(len(signals), len(atoms))
    critical = np.empty(len(signals))

    def work(block: int) -> None:
        part = slice(block * size, (block + 1) * size)
        products = signals[part].astype(np.float64) @ transposed
        if not nonnegative:
            np.abs(products, out=products)
        critical[part] = np.maximum(products.max(axis=1), 0.0)

    for_each_block(-(-len(signals) // size), lambda: work, thread_count(n_threads))
    return critical


def debiased_codes(
    signals: Float[np.ndarray, "n_signals d_model"],
    atoms: Float[np.ndarray, "n_atoms d_dictionary"],
    codes: csr_array,
    *,
    n_threads: int | None = None,
    device: str = "cpu",
) -> csr_array:
    """Least squares on the support of each code: `min ||x - a D||` over `a` with that support.

    Solved in float64 by Cholesky, on products of atoms in the type of the signals. An atom that
    earlier atoms of its support already span (to a relative 1e-10; 1e-5 in float32) gets the
    coefficient 0: the fit is the same, and nothing blows up. The stored entries are those of
    `codes`. Raises ValueError as `lasso_codes` does.
    """
    check_problem(signals, atoms)
    check_codes("codes", codes, (len(signals), len(atoms)), nonnegative=False)
    signals = np.ascontiguousarray(signals)
    atoms = np.ascontiguousarray(atoms, dtype=signals.dtype)
    if device != "cpu":
        values = least_squares_values(signals, atoms, codes, device)
        return csr_array((values, codes.indices.copy(), codes.indptr.copy()), shape=codes.shape)
    ensure_compiled(signals.dtype)
    gram = gram_matrix(atoms, atoms.T, thread_count(n_threads))
    values = np.empty(codes.nnz, dtype=signals.dtype)
    size = block_size(len(signals), len(atoms))

    def work(block: int) -> None:
        first, last = block * size, min((block + 1) * size, len(signals))
        least_squares.fit_supports(
            signals, atoms, gram, codes.indptr, codes.indices, first, last, values
        )

    for_each_block(-(-len(signals) // size), lambda: work, thread_count(n_threads))
    return csr_array((values, codes.indices.copy(), codes.indptr.copy()), shape=codes.shape)
