"""Compiled: blocks of sparse codes, their residuals, and the certificate.

A block of sparse codes is three arrays: `supports[i, :sizes[i]]` names atoms of signal i and
`values[i, :sizes[i]]` holds their coefficients, some of which may be zero. Rows are as wide as the
dictionary, but only the part that a code needs is ever touched.
"""

from typing import no_type_check

import numpy as np

from trials.kernels.compiled.loops import accumulate, compiled, duality_gap
from trials.kernels.compiled.simd import N_LANES, append_outside

CHUNK = 16
"""Atoms per chunk; blocks of correlations are padded with zeros to whole chunks."""


@compiled
@no_type_check
def prepare(signals, penalties, scaled, scales, half_energies, scaled_penalties):
    """Divide signals and penalties by a power of two near the norm of the signal.

    Codes scale by the same power, exactly, and float32 stays far from overflow and underflow.
    """
    for i in range(signals.shape[0]):
        energy = 0.0
        for k in range(signals.shape[1]):
            energy += np.float64(signals[i, k]) * signals[i, k]
        scale = 2.0 ** np.round(0.5 * np.log2(energy)) if energy > 0.0 else 1.0
        factor = scaled.dtype.type(1.0 / scale)
        for k in range(signals.shape[1]):
            scaled[i, k] = signals[i, k] * factor
        scales[i] = scale
        half_energies[i] = 0.5 * energy / (scale * scale)
        scaled_penalties[i] = penalties[i] / scale


@compiled
@no_type_check
def load(indptr, indices, data, first, scales, supports, values, sizes):
    """Fill a block of codes from rows `first...` of a CSR array, divided by the scales."""
    for i in range(sizes.shape[0]):
        n = 0
        for s in range(indptr[first + i], indptr[first + i + 1]):
            if data[s] != 0.0:
                supports[i, n] = indices[s]
                values[i, n] = data[s] / scales[i]
                n += 1
        sizes[i] = n


@compiled
@no_type_check
def store(supports, values, sizes, scales, n_atoms, indices, data):
    """Write a block of codes as CSR entries with sorted indices, times the scales.

    Coefficients that underflow when scaled back are dropped, from `sizes` too. Returns the number
    of entries.
    """
    at = 0
    dense, order = room_to_sort(n_atoms, values.dtype)
    for i in range(sizes.shape[0]):
        last = store_sorted(
            supports[i], values[i], sizes[i], scales[i], dense, order, at, indices, data
        )
        sizes[i] = last - at
        at = last
    return at


@compiled
@no_type_check
def room_to_sort(n_atoms, kind):
    """Scratch for `store_sorted`: one zero per atom, and room for their indices."""
    n_padded = -(-n_atoms // N_LANES) * N_LANES
    return np.zeros(n_padded, kind), np.empty(n_padded + N_LANES, np.uint32)


@compiled
@no_type_check
def store_sorted(support, values, n, scale, dense, order, at, indices, data):
    """Write a code as entries `at...` by rising index, times the scale; returns their end.

    Coefficients that are zero, or underflow when scaled, are dropped.
    """
    factor = values.dtype.type(scale)
    zero = values.dtype.type(0)
    for s in range(n):
        dense[support[s]] = values[s] * factor
    m = 0
    for first in range(0, dense.shape[0], N_LANES):
        m = append_outside(dense, first, zero, zero, order, m)
    for s in range(m):
        j = order[s]
        indices[at + s] = j
        data[at + s] = dense[j]
        dense[j] = 0
    return at + m


@compiled
@no_type_check
def subtract_reconstructions(signals, atoms, supports, values, sizes, rows, residuals, sums):
    """Residuals `x - a D` of the listed rows, in the type of the signals.

    `sums[k]` becomes (<r, r>, ||a||_1) of the k-th listed row.
    """
    minus = np.empty(supports.shape[1], residuals.dtype)
    for k in range(rows.shape[0]):
        row = rows[k]
        rr, _, l1 = residual_of(
            signals[row], atoms, supports[row], values[row], sizes[row], residuals[k], minus
        )
        sums[k, 0] = rr
        sums[k, 1] = l1


@compiled
@no_type_check
def residual_of(x, atoms, support, coefficients, n, residual, minus):
    """Fill `residual` with `x - a D`, in its type; returns (<r, r>, <x, r>, ||a||_1)."""
    d_model = x.shape[0]
    l1 = 0.0
    for s in range(n):
        minus[s] = -coefficients[s]
        l1 += abs(minus[s])
    for i in range(d_model):
        residual[i] = x[i]
    accumulate(residual, d_model, atoms, support, minus, n)
    rr = 0.0
    xr = 0.0
    for i in range(d_model):
        rr += np.float64(residual[i]) * residual[i]
        xr += np.float64(x[i]) * residual[i]
    return rr, xr, l1


@compiled
@no_type_check
def chunk_maxima(c, nonnegative, maxima):
    """Largest correlation (in size, or signed) of every chunk of atoms; returns the largest.

    Chunk k of n holds the atoms k, k + n, k + 2n, ...: strided, so that many chunks share one
    register.
    `maxima` may be longer.
    """
    n_chunks = c.shape[0] // CHUNK
    sizes = c.reshape(CHUNK, n_chunks)
    for k in range(n_chunks):
        largest = c.dtype.type(0)
        if nonnegative:
            for i in range(CHUNK):
                largest = max(largest, sizes[i, k])
        else:
            for i in range(CHUNK):
                largest = max(largest, abs(sizes[i, k]))
        maxima[k] = largest
    top = c.dtype.type(0)
    for k in range(n_chunks):
        top = max(top, maxima[k])
    return top


@compiled
@no_type_check
def exceeding(c, level, nonnegative, picks):
    """Fill `picks` with the atoms whose correlation (in size, or signed) exceeds a level.

    Returns their number. `picks`, of uint32, has room for 16 more than there are correlations.
    """
    low = c.dtype.type(-np.inf) if nonnegative else -level
    n = 0
    for first in range(0, c.shape[0], N_LANES):
        n = append_outside(c, first, low, level, picks, n)
    return n


@compiled
@no_type_check
def certified_gap(c, maxima, slack, residual, atoms, rr, xr, l1, penalty, nonnegative, picks):
    """Absolute duality gap in float64; `maxima` are those of the chunks of `c`.

    The correlations may be float32 and a little stale: each is within the slack of the true one.
    So they say which atoms can attain the largest, and those few are recomputed in float64.
    """
    n_atoms = atoms.shape[0]
    best = np.argmax(maxima)
    n = 0
    for j in range(best, n_atoms, c.shape[0] // CHUNK):
        picks[n] = j
        n += np.int64((c[j] if nonnegative else abs(c[j])) == maxima[best])
    top = _largest_product(residual, atoms, picks, n, nonnegative)
    # What is not above this level, rounded down, is no larger in truth.
    level = c.dtype.type(top - slack)
    level -= abs(level) * c.dtype.type(np.finfo(c.dtype).eps)
    n = exceeding(c, level, nonnegative, picks)
    while n > 0 and picks[n - 1] >= n_atoms:  # padding, above a level below zero
        n -= 1
    top = max(top, _largest_product(residual, atoms, picks, n, nonnegative))
    return duality_gap(rr, xr, l1, penalty, top, nonnegative)


@compiled
@no_type_check
def _largest_product(residual, atoms, picks, n, nonnegative):
    """Largest product of the residual with the first n picked atoms (in size, or signed); or 0."""
    top = 0.0
    for first in range(0, n, 4):  # four share each load of the residual; the last may come again
        p0, p1 = picks[first], picks[min(first + 1, n - 1)]
        p2, p3 = picks[min(first + 2, n - 1)], picks[min(first + 3, n - 1)]
        d0, d1, d2, d3 = 0.0, 0.0, 0.0, 0.0
        for i in range(residual.shape[0]):
            value = residual[i]
            d0 += value * atoms[p0, i]
            d1 += value * atoms[p1, i]
            d2 += value * atoms[p2, i]
            d3 += value * atoms[p3, i]
        if nonnegative:
            top = max(top, max(d0, d1), max(d2, d3))
        else:
            top = max(top, max(abs(d0), abs(d1)), max(abs(d2), abs(d3)))
    return top
