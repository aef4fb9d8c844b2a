"""Compiled inner loops of exact sparse coding: a shrinkage step and a simplex method for `l1`."""

from typing import no_type_check

import numpy as np

from trials.kernels.compiled.loops import compiled

_RELAXATION = 1.7
_LEAST_PIVOT = 1e-9
_STEADY_PIVOT = 1e-6
_MARGIN = 0.3
_PIVOTS_A_PRICING = 50


@compiled
@no_type_check
def shrink(v, shift, z, thresholds, nonnegative):
    """One over-relaxed step of ADMM after the projection `v - shift`, in place.

    `z` are the sparse iterates and `z - v` the scaled multipliers, before and after.
    """
    kind = v.dtype.type
    over = kind(_RELAXATION)
    for i in range(v.shape[0]):
        t = thresholds[i]
        lowest = kind(0) if nonnegative else kind(-np.inf)
        for j in range(v.shape[1]):
            u = z[i, j] - v[i, j]
            w = over * (v[i, j] - shift[i, j]) + (kind(1) - over) * z[i, j] + u
            new = w - min(max(w, -t), t)
            new = max(new, lowest)
            z[i, j] = new
            v[i, j] = new + new - w


@compiled
@no_type_check
def _dot(a, b):
    total = 0.0
    for k in range(a.shape[0]):
        total += a[k] * b[k]
    return total


@compiled
@no_type_check
def _add(out, coefficient, row):
    for k in range(out.shape[0]):
        out[k] += coefficient * row[k]


@compiled
@no_type_check
def _violation(p, up, down):
    """How far <d, nu> lies outside of [-down, up]; negative inside."""
    return max(p - up, -p - down)


@compiled
@no_type_check
def _leaving(a, s, y, sign, rate, jump, times, ranks):
    """How far to go along -sign * y: past sign changes while the objective still falls.

    Returns the leaving position (-1: there is none) and how many coefficients change sign before
    it, which are ranks[order[:n]]. Stops short of a position whose pivot is next to zero.
    """
    m = 0
    for k in range(y.shape[0]):
        move = sign * y[k]
        if abs(move) > _LEAST_PIVOT and (move > 0.0) == s[k]:
            times[m] = max(a[k] / move, 0.0)
            ranks[m] = k
            m += 1
    order = np.argsort(times[:m])
    steadiest = 0
    for n in range(m):
        size = abs(y[ranks[order[n]]])
        if size >= _STEADY_PIVOT or size > abs(y[ranks[order[steadiest]]]):
            steadiest = n
        rate += jump * size
        if rate >= 0.0:
            break
    return (ranks[order[steadiest]] if m else -1), steadiest, order


@compiled
@no_type_check
def _exchange(inverse, k, y):
    """Row k of the basis becomes the atom whose coordinates in the basis are y."""
    pivot = inverse[k]
    scale = 1.0 / y[k]
    for i in range(pivot.shape[0]):
        pivot[i] *= scale
    for i in range(inverse.shape[0]):
        if i != k and y[i] != 0.0:
            _add(inverse[i], -y[i], pivot)


@compiled
@no_type_check
def minimise(atoms, basis, inverse, a, up, down, tolerance, most_pivots, nu):
    """Primal simplex for `min sum_j up * max(a_j, 0) + down * max(-a_j, 0)  s.t.  a D = x`.

    Every basis of atoms is feasible, since coefficients may have any sign (unless `down` is
    infinite; then the first ones must be nonnegative). Along an edge, coefficients may change
    sign while the objective still falls, as in Barrodale and Roberts (1973): that takes far fewer
    pivots than one basis after the other. Prices are kept for the few atoms near their bounds;
    all are looked at again before the end.

    Args:
        atoms: (n_atoms, rank), of that rank.
        basis: (rank,) independent atoms, updated in place.
        inverse: (rank, rank), transposed inverse of `atoms[basis]`, updated in place.
        a: (rank,) coefficients of the basis, updated in place.
        up, down: cost of a positive and of a negative coefficient.
        tolerance: by how much <d_j, nu> may leave [-down, up].
        nu: (rank,) becomes the multipliers.

    Returns:
        The number of pivots; `most_pivots` where that did not do.
    """
    n_atoms, rank = atoms.shape
    is_basic = np.zeros(n_atoms, np.bool_)
    s = np.empty(rank, np.bool_)
    for k in range(rank):
        is_basic[basis[k]] = True
        s[k] = a[k] >= 0.0 or down == np.inf
    y = np.empty(rank)
    times = np.empty(rank)
    ranks = np.empty(rank, np.int64)
    candidates = np.empty(n_atoms, np.int64)
    n_pivots = 0
    while True:
        nu[:] = 0.0
        for k in range(rank):
            cost = up if s[k] else -down
            if cost != 0.0:
                _add(nu, cost, inverse[k])
        n_candidates = 0
        worst = -np.inf
        for j in range(n_atoms):
            if not is_basic[j]:
                violation = _violation(_dot(atoms[j], nu), up, down)
                worst = max(worst, violation)
                if violation > -_MARGIN:
                    candidates[n_candidates] = j
                    n_candidates += 1
        if worst <= tolerance or n_pivots >= most_pivots:
            return n_pivots
        for _ in range(_PIVOTS_A_PRICING):
            worst = tolerance
            entering = -1
            price = 0.0
            for i in range(n_candidates):
                j = candidates[i]
                p = _dot(atoms[j], nu)
                violation = _violation(p, up, down)
                if violation > worst and not is_basic[j]:
                    worst = violation
                    entering = j
                    price = p
            if entering < 0:
                break
            sign = 1.0 if price > up else -1.0
            for k in range(rank):
                y[k] = _dot(inverse[k], atoms[entering])
            out, n_flips, order = _leaving(a, s, y, sign, -worst, up + down, times, ranks)
            if out < 0:
                return most_pivots
            for n in range(n_flips):
                k = ranks[order[n]]
                _add(nu, -(up + down) if s[k] else up + down, inverse[k])
                s[k] = not s[k]
            step = sign * times[order[n_flips]]
            _add(a, -step, y)
            _exchange(inverse, out, y)
            is_basic[basis[out]] = False
            is_basic[entering] = True
            basis[out] = entering
            a[out] = step
            s[out] = sign > 0.0
            missing = (up if sign > 0.0 else -down) - _dot(atoms[entering], nu)
            _add(nu, missing, inverse[out])
            n_pivots += 1
