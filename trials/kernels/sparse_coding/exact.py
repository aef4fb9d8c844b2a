"""Exact sparse codes: the limit of the LASSO for a vanishing penalty, each with its certificate.

`min_a ||a||_1  s.t.  a D = x` (basis pursuit, Chen, Donoho and Saunders 1998), a linear program
for each signal. A block of signals goes through some iterations of ADMM (Boyd and others 2011,
section 6.2), two matrix products each, in float32; they name the likely atoms and multipliers.
A truly sparse code is then read off and proved. Otherwise the likely atoms give a basis, from
which a simplex method in float64 goes the rest of the way, most often a few dozen pivots.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array

from trials.kernels.compiled.cache import ensure_compiled
from trials.kernels.sparse_coding._basis_pursuit import BasisPursuit, Vertex
from trials.kernels.sparse_coding.checks import check_problem, check_tolerance
from trials.kernels.sparse_coding.lasso import critical_penalties, lasso_codes
from trials.kernels.threads import for_each_block, one_blas_thread, thread_count

_BLOCK = 64
_EXACT = {np.dtype(np.float32): 1e-6, np.dtype(np.float64): 1e-9}
_VANISHING = 1e-6


class ExactCodes(NamedTuple):
    """Codes of least `l1` norm that reconstruct their signals, and the proof.

    Attributes:
        codes: (n_signals, n_atoms) in float64; the atoms of each are independent, so that a code
            has at most as many entries as the dictionary has rank.
        gap: (n_signals,) `(||a||_1 - <x, nu>) / ||a||_1` in float64 from the returned codes, with
            multipliers `|<d_j, nu>| <= 1` (`<d_j, nu> <= 1` for nonnegative codes): no exact code
            has a norm below `(1 - gap) ||a||_1`. Of the nearest signal in the span of the atoms
            where the signal lies outside of it. Infinite where no nonnegative code is exact; 0
            for zero signals.
        residual: (n_signals,) `||x - a D|| / ||x||` in float64; 0 for zero signals.
        feasible: (n_signals,) whether the residual is zero to rounding: at most 1e-9, and 1e-6
            for signals in float32.
        n_pivots: (n_signals,) of the simplex method; 0 where ADMM sufficed.
    """

    codes: csr_array
    gap: Float[np.ndarray, " n_signals"]
    residual: Float[np.ndarray, " n_signals"]
    feasible: Bool[np.ndarray, " n_signals"]
    n_pivots: Int[np.ndarray, " n_signals"]


def exact_codes(
    signals: Float[np.ndarray, "n_signals d_model"],
    atoms: Float[np.ndarray, "n_atoms d_dictionary"],
    *,
    nonnegative: bool = False,
    tolerance: float = 1e-6,
    n_threads: int | None = None,
) -> ExactCodes:
    """Codes `min ||a||_1  s.t.  a D = x` of every signal (`a >= 0` on request).

    A signal without an exact code gets one of small residual and says so: the code of its
    projection where it lies outside of the span of the atoms, and nonnegative least squares where
    it lies outside of their cone.

    Args:
        signals: float32 or float64; solved in float64. Codes are exact to the rounding of the
            type: a sparse code of a float32 signal keeps no entries that only fit its rounding.
        atoms: rows of the dictionary; of any norm but zero.
        tolerance: wanted gap. A signal that does not reach it comes back with the gap it has.
        n_threads: default all cores. The result does not depend on it.

    Raises:
        ValueError: shapes that do not match, NaN or infinity, a zero atom, a tolerance below 0.
    """
    check_problem(signals, atoms)
    ensure_compiled(signals.dtype)
    check_tolerance(tolerance)
    exact = _EXACT[signals.dtype]
    signals = np.ascontiguousarray(signals, dtype=np.float64)
    atoms = np.ascontiguousarray(atoms, dtype=np.float64)
    n_signals = len(signals)
    norms = np.sqrt(np.einsum("ij,ij->i", signals, signals))
    gap, residual = np.zeros(n_signals), np.zeros(n_signals)
    with one_blas_thread():  # LAPACK outside of the blocks, too
        solver = BasisPursuit(atoms, nonnegative=nonnegative, tolerance=tolerance, exact=exact)
        found: list[Vertex] = [solver.nothing] * n_signals

        def work(number: int) -> None:
            rows = np.arange(number * _BLOCK, min((number + 1) * _BLOCK, n_signals))
            rows = rows[norms[rows] > 0]
            if len(rows):
                vertices = solver.solve(signals[rows] / norms[rows, None])
                for row, vertex in zip(rows, vertices, strict=True):
                    found[row] = vertex

        for_each_block(-(-n_signals // _BLOCK), lambda: work, thread_count(n_threads))
        codes = _as_rows(found, norms, len(atoms))
        stuck = np.flatnonzero([vertex.outside_cone for vertex in found])
        if len(stuck):
            codes = csr_array(codes + _least_squares(signals, atoms, stuck, n_threads))
        for start in range(0, n_signals, _BLOCK):
            part = slice(start, start + _BLOCK)
            nu = np.stack([vertex.nu for vertex in found[part]]) @ solver.whitening.T
            gap[part], residual[part] = _certificates(
                signals[part], atoms, codes[part], nu, nonnegative
            )
    gap[stuck] = np.inf
    n_pivots = np.array([vertex.n_pivots for vertex in found])
    return ExactCodes(codes, gap, residual, residual <= exact, n_pivots)


def _as_rows(
    vertices: list[Vertex], norms: Float[np.ndarray, " n_signals"], n_atoms: int
) -> csr_array:
    """Vertices of signals of norm 1 as codes of signals of these norms."""
    lengths = [len(vertex.atoms) for vertex in vertices]
    orders = [np.argsort(vertex.atoms) for vertex in vertices]
    pairs = list(zip(vertices, orders, strict=True))
    indices = np.concatenate([vertex.atoms[order] for vertex, order in pairs])
    values = np.concatenate([vertex.values[order] for vertex, order in pairs])
    indptr = np.concatenate(([0], np.cumsum(lengths)))
    return csr_array(
        (values * np.repeat(norms, lengths), indices, indptr), shape=(len(vertices), n_atoms)
    )


def _least_squares(
    signals: Float[np.ndarray, "n_signals d_model"],
    atoms: Float[np.ndarray, "n_atoms d_model"],
    rows: Int[np.ndarray, " n_rows"],
    n_threads: int | None,
) -> csr_array:
    """Nonnegative least squares of some signals, as the LASSO at a vanishing penalty."""
    critical = critical_penalties(signals[rows], atoms, nonnegative=True, n_threads=n_threads)
    rows, critical = rows[critical > 0], critical[critical > 0]
    if not len(rows):
        return csr_array((len(signals), len(atoms)))
    codes = lasso_codes(
        signals[rows],
        atoms,
        l1_penalty=_VANISHING * critical,
        nonnegative=True,
        tolerance=_VANISHING**2,
        n_threads=n_threads,
    ).codes
    lengths = np.zeros(len(signals), dtype=np.int64)
    lengths[rows] = np.diff(codes.indptr)
    indptr = np.concatenate(([0], np.cumsum(lengths)))
    return csr_array((codes.data, codes.indices, indptr), shape=(len(signals), len(atoms)))


def _certificates(
    signals: Float[np.ndarray, "n_block d_model"],
    atoms: Float[np.ndarray, "n_atoms d_model"],
    codes: csr_array,
    nu: Float[np.ndarray, "n_block d_model"],
    nonnegative: bool,
) -> tuple[Float[np.ndarray, " n_block"], Float[np.ndarray, " n_block"]]:
    """Gaps and residuals as in `ExactCodes`; 0 for codes and signals that are zero."""
    correlations = nu @ atoms.T
    top = (correlations if nonnegative else np.abs(correlations)).max(axis=1)
    bounds = (signals * nu).sum(axis=1) / np.maximum(top, 1.0)
    l1 = abs(codes).sum(axis=1)
    norms = np.linalg.norm(signals, axis=1)
    misses = np.linalg.norm(signals - codes @ atoms, axis=1)
    gaps = np.maximum(1.0 - np.divide(bounds, l1, out=np.ones_like(l1), where=l1 > 0), 0.0)
    return gaps, np.divide(misses, norms, out=np.zeros_like(norms), where=norms > 0)
