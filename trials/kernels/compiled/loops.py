"""Shared by all compiled loops: the compiler options, sums of scaled rows, the duality gap."""

from typing import no_type_check

import numpy as np
from numba import njit

from trials.kernels.compiled.simd import N_LANES, add_all_scaled

# Releases the GIL and is cached on disk. Sums may be reassociated so that they vectorise. `nnan`
# assumes that there is no NaN: callers must refuse it. Infinity keeps its meaning.
compiled = njit(
    cache=True,
    nogil=True,
    fastmath={"reassoc", "contract", "nsz", "arcp", "nnan"},
    error_model="numpy",
)

_TILE = 16


@compiled
@no_type_check
def accumulate(out, n, matrix, picks, coefficients, n_picks):
    """out[:n] += sum_k coefficients[k] * matrix[picks[k], :n], four rows at a time."""
    k = 0
    while k + 4 <= n_picks:
        c0, c1 = coefficients[k], coefficients[k + 1]
        c2, c3 = coefficients[k + 2], coefficients[k + 3]
        p0, p1, p2, p3 = picks[k], picks[k + 1], picks[k + 2], picks[k + 3]
        for j in range(n):
            out[j] += (c0 * matrix[p0, j] + c1 * matrix[p1, j]) + (
                c2 * matrix[p2, j] + c3 * matrix[p3, j]
            )
        k += 4
    while k < n_picks:
        c0 = coefficients[k]
        p0 = picks[k]
        for j in range(n):
            out[j] += c0 * matrix[p0, j]
        k += 1


@compiled
@no_type_check
def accumulate_short(out, n, matrix, picks, coefficients, n_picks):
    """Like `accumulate`, but faster where rows are short and in the cache.

    Rows are padded to a multiple of 32 numbers; the padding of `out` is undefined afterwards.
    """
    for first in range(0, n, 2 * N_LANES):
        add_all_scaled(out, first, matrix, picks, coefficients, n_picks)


@compiled
@no_type_check
def duality_gap(rr, xr, l1, penalty, top, nonnegative):
    """P(a) - G(s r) at the best feasible scaling s of the residual; `top` is max_j <d_j, r>."""
    if rr <= 0.0:
        return penalty * l1
    bound = penalty / top if top > 0.0 else np.inf
    scale = min(max(xr / rr, 0.0 if nonnegative else -bound), bound)
    return 0.5 * rr + penalty * l1 - (scale * xr - 0.5 * scale * scale * rr)


@compiled
@no_type_check
def mirror(matrix, first, last):
    """matrix[last:, first:last] = matrix[first:last, last:].T, one cache-sized tile at a time."""
    n = matrix.shape[0]
    for top in range(last, n, _TILE):
        for left in range(first, last, _TILE):
            for i in range(top, min(top + _TILE, n)):
                for j in range(left, min(left + _TILE, last)):
                    matrix[i, j] = matrix[j, i]
