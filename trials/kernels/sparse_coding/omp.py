"""Greedy sparse codes with a given number of atoms: batch orthogonal matching pursuit."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from trials.kernels.compiled import codes, matching_pursuit
from trials.kernels.compiled.cache import ensure_compiled
from trials.kernels.sparse_coding._block import block_size
from trials.kernels.sparse_coding.block_solver import gram_matrix
from trials.kernels.sparse_coding.checks import check_problem
from trials.kernels.threads import for_each_block, thread_count

# Lengths that must agree have different names where our own ValueError reports a mismatch.
Counts = int | np.integer | Int[np.ndarray, " n_counts"]


class OmpCodes(NamedTuple):
    """Greedy codes and their squared errors.

    Attributes:
        codes: (n_signals, n_atoms), at most `n_nonzero` entries per signal; the reconstruction is
            `codes @ atoms`.
        error: (n_signals,) `||x - a D||^2`, in float64 from the returned codes.
    """

    codes: csr_array
    error: Float[np.ndarray, " n_signals"]


def omp_codes(
    signals: Float[np.ndarray, "n_signals d_model"],
    atoms: Float[np.ndarray, "n_atoms d_dictionary"],
    *,
    n_nonzero: Counts,
    n_threads: int | None = None,
) -> OmpCodes:
    """Codes by orthogonal matching pursuit: atom after atom, least squares on those chosen.

    The next atom is the one with the largest `|<d_j, r>| / ||d_j||`; the lowest index wins ties.
    Batch-OMP (Rubinstein, Zibulevsky and Elad 2008): the Gram matrix is computed once, and only the
    last residual. A signal stops early when its residual is zero to rounding, or when its next atom
    depends on those chosen (to a share of its energy of 1e-10, 1e-5 in float32). So copies of atoms
    and near-singular dictionaries give finite codes, with fewer entries.

    Args:
        signals: float32 or float64, in which atoms are chosen; least squares are refined in
            float64.
        atoms: rows of the dictionary, of any norm except zero. Cast to the type of the signals.
        n_nonzero: atoms per signal, one number or one per signal, 0 to min(n_atoms, d_model): that
            many independent atoms reconstruct anything.
        n_threads: all cores by default. The result does not depend on it.

    Raises:
        ValueError: shapes that do not match, NaN or infinity, a zero atom, a count out of range.
    """
    check_problem(signals, atoms)
    ensure_compiled(signals.dtype)
    n_signals, n_atoms = len(signals), len(atoms)
    counts = _check_counts(n_nonzero, n_signals, min(atoms.shape))
    signals = np.ascontiguousarray(signals)
    atoms = np.ascontiguousarray(atoms, dtype=signals.dtype)
    norms = np.sqrt(np.einsum("ij,ij->i", atoms, atoms, dtype=np.float64))
    transposed = np.ascontiguousarray((atoms / norms[:, None]).astype(atoms.dtype).T)
    gram = gram_matrix(transposed.T, transposed, thread_count(n_threads))
    eps = float(np.finfo(signals.dtype).eps)
    floor = 4 * eps * atoms.shape[1] ** 0.5
    least_pivot = 1e-5 if signals.dtype == np.float32 else 1e-10
    size = min(block_size(n_signals, n_atoms), n_signals)
    n_blocks = -(-n_signals // size)
    error = np.empty(n_signals)
    lengths = np.zeros(n_signals, dtype=np.int64)
    entries: list[tuple[np.ndarray, np.ndarray]] = [(lengths, lengths)] * n_blocks

    def make_worker() -> Callable[[int], None]:
        products = np.empty((size, n_atoms), signals.dtype)

        def work(number: int) -> None:
            part = slice(number * size, min((number + 1) * size, n_signals))
            scaled, scales = _scaled(signals[part])
            n = len(scaled)
            supports = np.empty((n, counts[part].max()), np.int32)
            values = np.empty(supports.shape, signals.dtype)
            matching_pursuit.pursue(
                scaled,
                np.matmul(scaled, transposed, out=products[:n]),
                atoms,
                norms,
                gram,
                counts[part],
                floor,
                least_pivot,
                supports,
                values,
                lengths[part],
                error[part],
            )
            error[part] *= scales**2
            indices = np.empty(int(lengths[part].sum()), np.int32)
            data = np.empty(len(indices), signals.dtype)
            stored = codes.store(supports, values, lengths[part], scales, n_atoms, indices, data)
            entries[number] = indices[:stored], data[:stored]

        return work

    for_each_block(n_blocks, make_worker, thread_count(n_threads))
    indptr = np.concatenate(([0], np.cumsum(lengths)))
    indices, data = (np.concatenate(arrays) for arrays in zip(*entries, strict=True))
    return OmpCodes(csr_array((data, indices, indptr), shape=(n_signals, n_atoms)), error)


def _scaled(
    signals: Float[np.ndarray, "n_signals d_model"],
) -> tuple[Float[np.ndarray, "n_signals d_model"], Float[np.ndarray, " n_signals"]]:
    """Signals divided by a power of two near their norm, which is exact, and that power."""
    energies = np.einsum("ij,ij->i", signals, signals, dtype=np.float64)
    with np.errstate(divide="ignore"):
        scales = np.where(energies > 0, np.exp2(np.round(0.5 * np.log2(energies))), 1.0)
    return signals * (1 / scales[:, None]).astype(signals.dtype), scales


def _check_counts(n_nonzero: Counts, n_signals: int, most: int) -> Int[np.ndarray, " n_signals"]:
    """One count per signal; ValueError unless each lies in 0..most."""
    counts = np.asarray(n_nonzero)
    if counts.ndim and counts.shape != (n_signals,):
        raise ValueError(
            f"n_nonzero has shape {counts.shape}; it must be a number or ({n_signals},)"
        )
    if counts.dtype.kind not in "iu":
        raise ValueError(f"n_nonzero is {counts.dtype}; it must be whole numbers")
    for worst in (counts.min(), counts.max()):
        if not 0 <= worst <= most:
            raise ValueError(
                f"n_nonzero is {worst}; it must lie in 0..{most}, the lesser of n_atoms and d_model"
            )
    return np.array(np.broadcast_to(counts, (n_signals,)), dtype=np.int64)
