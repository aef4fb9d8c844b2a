"""Compiled: least squares on given supports."""

from typing import no_type_check

import numpy as np

from trials.kernels.compiled.loops import compiled

# A pivot below this share of an atom's squared norm may be rounding of the Gram matrix alone.
_SPANNED_32 = 1e-5
_SPANNED_64 = 1e-10


@compiled
@no_type_check
def fit_supports(signals, atoms, gram, indptr, indices, first, last, values):
    """Least squares on the supports of rows `first..last`, by Cholesky in float64."""
    spanned = _SPANNED_32 if gram.itemsize == 4 else _SPANNED_64
    longest = 0
    for row in range(first, last):
        longest = max(longest, indptr[row + 1] - indptr[row])
    factor = np.empty((longest, longest))
    solution = np.empty(longest)
    for row in range(first, last):
        begin = indptr[row]
        n = indptr[row + 1] - begin
        for i in range(n):
            atom = indices[begin + i]
            total = 0.0
            for k in range(atoms.shape[1]):
                total += np.float64(atoms[atom, k]) * signals[row, k]
            solution[i] = total
            for j in range(i + 1):
                factor[i, j] = gram[atom, indices[begin + j]]
        cholesky_solve(factor, n, spanned, solution)
        for i in range(n):
            values[begin + i] = solution[i]


@compiled
@no_type_check
def cholesky_solve(factor, n, spanned, solution):
    """Solve in place; `factor` holds the lower half of the matrix and becomes its factor.

    A row whose pivot falls below `spanned` times its diagonal gets the solution 0.
    """
    for i in range(n):
        pivot = factor[i, i]
        least = spanned * pivot
        for j in range(i):
            entry = factor[i, j]
            for k in range(j):
                entry -= factor[i, k] * factor[j, k]
            entry = entry / factor[j, j] if factor[j, j] > 0.0 else 0.0
            factor[i, j] = entry
            pivot -= entry * entry
            solution[i] -= entry * solution[j]
        factor[i, i] = np.sqrt(pivot) if pivot > least else 0.0
        solution[i] = solution[i] / factor[i, i] if pivot > least else 0.0
    for i in range(n - 1, -1, -1):
        if factor[i, i] > 0.0:
            solution[i] /= factor[i, i]
            for k in range(i):
                solution[k] -= factor[i, k] * solution[i]
