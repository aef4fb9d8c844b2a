"""Compiled loops of dictionary learning: weighted statistics of sparse codes, update of atoms."""

from typing import no_type_check

import numpy as np

from trials.kernels.compiled.loops import accumulate, compiled
from trials.kernels.threads import one_blas_thread

_BLOCK = 64
_ROWS = 512


@compiled
@no_type_check
def add_statistics(indptr, indices, values, weights, signals, part, n_parts, usage, cross):
    """usage += A'WA and cross += A'WX, for the atoms `part`, `part + n_parts`, ... of the result.

    Indices are sorted in each row of A; of `usage` the lower half alone is filled. A few rows at a
    time, atom by atom: what an atom adds up stays close at hand.
    """
    n_atoms, d_model = cross.shape
    n_rows = weights.shape[0]
    most = 0
    for first in range(0, n_rows, _ROWS):
        most = max(most, indptr[min(first + _ROWS, n_rows)] - indptr[first])
    ends = np.empty(n_atoms + 1, np.int64)
    # Unsigned: numba checks each signed index for whether it counts from the end.
    begins, past = np.empty(most, np.uint64), np.empty(most, np.uint64)
    rows = np.empty(most, np.uint64)
    scaled = np.empty(most, values.dtype)
    for first in range(0, n_rows, _ROWS):
        last = min(first + _ROWS, n_rows)
        ends[:] = 0
        for s in range(indptr[first], indptr[last]):
            ends[indices[s] + 1] += 1
        for j in range(n_atoms):
            ends[j + 1] += ends[j]
        for i in range(first, last):
            for s in range(indptr[i], indptr[i + 1]):
                at = ends[indices[s]]
                rows[at] = i
                begins[at] = indptr[i]
                past[at] = s + 1
                scaled[at] = weights[i] * values[s]
                ends[indices[s]] = at + 1
        for j in range(part, n_atoms, n_parts):
            begin = ends[j - 1] if j > 0 else 0
            n = ends[j] - begin
            accumulate(cross[j], d_model, signals, rows[begin:], scaled[begin:], n)
            row = usage[j]
            for at in range(begin, ends[j]):
                for t in range(begins[at], past[at]):
                    row[np.uint32(indices[t])] += scaled[at] * values[t]


def update_atoms(atoms: np.ndarray, usage: np.ndarray, cross: np.ndarray) -> np.ndarray:
    """One sweep of exact block coordinate descent over the atoms, each on the unit sphere.

    `d_j <- normalise(cross_j - sum_{k != j} usage_jk d_k)` in turn; unused atoms stay as they are.
    """
    atoms = atoms.copy()
    with one_blas_thread():
        for first in range(0, len(atoms), _BLOCK):
            block = slice(first, min(first + _BLOCK, len(atoms)))
            slope = cross[block] - usage[block] @ atoms
            _update_block(atoms[block], np.ascontiguousarray(usage[block, block]), slope)
    return atoms


@compiled
@no_type_check
def _update_block(atoms, usage, slope):
    """Update the atoms of one block in turn, keeping the slopes of the later ones up to date."""
    n, d_model = atoms.shape
    step = np.empty(d_model, atoms.dtype)
    for j in range(n):
        if not usage[j, j] > 0.0:
            continue
        norm = 0.0
        for k in range(d_model):
            step[k] = slope[j, k] + usage[j, j] * atoms[j, k]
            norm += np.float64(step[k]) * step[k]
        if not norm > 0.0:
            continue
        inverse = atoms.dtype.type(1.0 / np.sqrt(norm))
        for k in range(d_model):
            step[k] = step[k] * inverse - atoms[j, k]
            atoms[j, k] += step[k]
        for i in range(j + 1, n):
            for k in range(d_model):
                slope[i, k] -= usage[i, j] * step[k]
