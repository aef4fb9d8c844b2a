"""Compiled loops of dictionary learning: weighted statistics of sparse codes, update of atoms."""

from typing import no_type_check

import numpy as np

from trials.kernels._loops import compiled
from trials.kernels._threads import one_blas_thread

_BLOCK = 64


@compiled
@no_type_check
def add_usage(indptr, indices, values, weights, part, n_parts, usage):
    """usage += A'WA, for the rows of the result with `row % n_parts == part`; its lower half alone.

    Indices are sorted in each row of A.
    """
    for i in range(weights.shape[0]):
        first = indptr[i]
        for s in range(first, indptr[i + 1]):
            j = indices[s]
            if j % n_parts == part:
                scaled = weights[i] * values[s]
                row = usage[j]
                for t in range(first, s + 1):
                    row[indices[t]] += scaled * values[t]


@compiled
@no_type_check
def add_cross(indptr, indices, values, weights, signals, first, last, cross):
    """cross += A'WX, for the columns `first..last` of the result."""
    for i in range(weights.shape[0]):
        x = signals[i, first:last]
        for s in range(indptr[i], indptr[i + 1]):
            scaled = weights[i] * values[s]
            row = cross[indices[s], first:last]
            for k in range(last - first):
                row[k] += scaled * x[k]


def update_atoms(atoms: np.ndarray, usage: np.ndarray, cross: np.ndarray) -> np.ndarray:
    """One sweep of exact block coordinate descent over the atoms, each on the unit sphere.

    `d_j <- normalise(cross_j - sum_{k != j} usage_jk d_k)` in turn; atoms without use stay.
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
