"""Compiled inner loops of orthogonal matching pursuit: one signal at a time, on the Gram matrix."""

from typing import no_type_check

import numpy as np

from trials.kernels.compiled.loops import compiled

_LANES = 64


@compiled
@no_type_check
def _lane_maxima(c, maxima):
    """Largest size of a correlation in every lane, the atoms whose indices leave one remainder.

    Unlike those of contiguous chunks, these maxima vectorise.
    """
    n_atoms = c.shape[0]
    maxima[:] = 0
    first = 0
    while first + _LANES <= n_atoms:
        for lane in range(_LANES):
            maxima[lane] = max(maxima[lane], abs(c[first + lane]))
        first += _LANES
    for j in range(first, n_atoms):
        maxima[j - first] = max(maxima[j - first], abs(c[j]))


@compiled
@no_type_check
def _first_largest(c, maxima):
    """The atom with the largest correlation; the lowest index wins ties."""
    top = maxima.max()
    best = c.shape[0]
    for lane in range(_LANES):
        if maxima[lane] == top:
            for j in range(lane, best, _LANES):
                if abs(c[j]) == top:
                    best = j
                    break
    return best


@compiled
@no_type_check
def _direct(w, row, directions, v, n):
    """w = row - v[:n] @ directions[:n], eight rows at a time."""
    for j in range(w.shape[0]):
        w[j] = row[j]
    k = 0
    while k + 8 <= n:
        v0, v1, v2, v3 = v[k], v[k + 1], v[k + 2], v[k + 3]
        v4, v5, v6, v7 = v[k + 4], v[k + 5], v[k + 6], v[k + 7]
        r0, r1, r2, r3 = directions[k], directions[k + 1], directions[k + 2], directions[k + 3]
        r4, r5, r6, r7 = directions[k + 4], directions[k + 5], directions[k + 6], directions[k + 7]
        for j in range(w.shape[0]):
            low = (v0 * r0[j] + v1 * r1[j]) + (v2 * r2[j] + v3 * r3[j])
            high = (v4 * r4[j] + v5 * r5[j]) + (v6 * r6[j] + v7 * r7[j])
            w[j] -= low + high
        k += 8
    if k + 4 <= n:
        v0, v1, v2, v3 = v[k], v[k + 1], v[k + 2], v[k + 3]
        r0, r1, r2, r3 = directions[k], directions[k + 1], directions[k + 2], directions[k + 3]
        for j in range(w.shape[0]):
            w[j] -= (v0 * r0[j] + v1 * r1[j]) + (v2 * r2[j] + v3 * r3[j])
        k += 4
    while k < n:
        v0 = v[k]
        r0 = directions[k]
        for j in range(w.shape[0]):
            w[j] -= v0 * r0[j]
        k += 1


@compiled
@no_type_check
def _step_along(c, w, scale, step):
    """Normalise a direction and subtract its contribution from the correlations."""
    for j in range(c.shape[0]):
        w[j] *= scale
        c[j] -= step * w[j]


@compiled
@no_type_check
def _solve_upper(factor, n, b):
    """b = (L^T)^{-1} b in place, L the lower triangle of `factor[:n, :n]`."""
    for i in range(n - 1, -1, -1):
        b[i] /= factor[i, i]
        for k in range(i):
            b[k] -= factor[i, k] * b[i]


@compiled
@no_type_check
def _solve_lower(factor, n, b):
    """b = L^{-1} b in place, L the lower triangle of `factor[:n, :n]`."""
    for i in range(n):
        total = b[i]
        for k in range(i):
            total -= factor[i, k] * b[k]
        b[i] = total / factor[i, i]


@compiled
@no_type_check
def _residual(x, atoms, picks, a, n, r):
    """r = x - a @ atoms[picks[:n]] in float64; returns <r, r>."""
    for i in range(r.shape[0]):
        r[i] = x[i]
    for k in range(n):
        row = atoms[picks[k]]
        coefficient = np.float64(a[k])
        for i in range(r.shape[0]):
            r[i] -= coefficient * row[i]
    energy = 0.0
    for i in range(r.shape[0]):
        energy += r[i] * r[i]
    return energy


@compiled
@no_type_check
def pursue(
    signals,
    correlations,
    atoms,
    norms,
    gram,
    n_wanted,
    floor,
    least_pivot,
    supports,
    values,
    gains,
    sizes,
    errors,
):
    """Orthogonal matching pursuit of a block of signals of norm about 1.

    The residual's correlations follow from those of the newest direction `q` of an orthonormal
    basis of the support: `D r -= <q, x> D q`, and `D q` from the Gram row of the atom and the
    directions before it. Their entries at the support are its Cholesky factor.

    Args:
        signals: (n_signals, d_model).
        correlations: (n_signals, n_atoms) with the atoms at norm 1; used up.
        atoms, norms: the atoms as given, and their norms.
        gram: (n_atoms, n_atoms) of the atoms at norm 1.
        n_wanted: (n_signals,) atoms per signal.
        floor: a residual whose largest correlation is no larger is zero.
        least_pivot: an atom with no more than this share of its energy outside of the span of the
            support depends on it.
        supports, values, sizes: the codes, as in `_codes`.
        gains: (n_signals, most atoms) becomes the fall of the squared residual with each atom, in
            the order in which they are chosen.
        errors: (n_signals,) becomes the squared norm of the residual of the rounded codes.
    """
    n_atoms = gram.shape[0]
    kind = gram.dtype
    longest = n_wanted.max()
    directions = np.empty((longest, n_atoms), kind)
    factor = np.empty((longest, longest))
    v = np.empty(longest, kind)
    a = np.empty(longest)
    correction = np.empty(longest)
    residual = np.empty(signals.shape[1])
    maxima = np.empty(_LANES, kind)
    for row in range(signals.shape[0]):
        c = correlations[row]
        n = 0
        while n < n_wanted[row]:
            _lane_maxima(c, maxima)
            j = _first_largest(c, maxima)
            if abs(c[j]) <= floor:
                break
            pivot = 1.0
            for k in range(n):
                v[k] = directions[k, j]
                factor[n, k] = v[k]
                pivot -= factor[n, k] * factor[n, k]
            if pivot <= least_pivot:
                break
            factor[n, n] = np.sqrt(pivot)
            a[n] = c[j] / factor[n, n]
            gains[row, n] = a[n] * a[n]
            supports[row, n] = j
            n += 1
            if n < n_wanted[row]:
                w = directions[n - 1]
                _direct(w, gram[j], directions, v, n - 1)
                _step_along(c, w, kind.type(1.0 / factor[n - 1, n - 1]), kind.type(a[n - 1]))
        _solve_upper(factor, n, a)
        for k in range(n):
            a[k] /= norms[supports[row, k]]
        # One step of iterative refinement corrects the rounding of the Gram matrix and directions.
        _residual(signals[row], atoms, supports[row], a, n, residual)
        for k in range(n):
            atom = atoms[supports[row, k]]
            total = 0.0
            for i in range(residual.shape[0]):
                total += residual[i] * atom[i]
            correction[k] = total / norms[supports[row, k]]
        _solve_lower(factor, n, correction)
        _solve_upper(factor, n, correction)
        for k in range(n):
            values[row, k] = a[k] + correction[k] / norms[supports[row, k]]
        errors[row] = _residual(signals[row], atoms, supports[row], values[row], n, residual)
        sizes[row] = n
