"""Compiled: the LASSO of one signal on the Gram sub-block of its working set.

Coordinate descent finds which coefficients are zero and the signs of the others; conjugate
gradients on the support then find their values.
"""

from typing import no_type_check

import numpy as np

from trials.kernels.compiled.least_squares import cholesky_solve
from trials.kernels.compiled.loops import accumulate_short, compiled, duality_gap
from trials.kernels.compiled.simd import N_LANES, add_scaled

_MAX_PHASES = 60
_FEWEST_CG_STEPS = 24
_FIRST_EPOCHS = 4
N_WORK_ROWS = 7
SPARE = 2 * N_LANES  # padding of rows: they are processed in whole registers


@compiled
@no_type_check
def solve_small(gram, n, a, g, rr, penalty, target, nonnegative, work, picks):
    """Solve the problem on the working set to a duality gap of `target`; returns <r, r>.

    `g`, the rows of `gram` and the scratch `work` must be padded to a multiple of `SPARE` numbers.
    `picks` is scratch too.
    """
    a_old, g_old, inverses = work[0], work[1], work[6]
    for i in range(n):
        inverses[i] = 1.0 / gram[i, i]
    n_epochs = _FIRST_EPOCHS
    for phase in range(_MAX_PHASES):
        for i in range(n):
            a_old[i] = a[i]
            g_old[i] = g[i]
        for _ in range(n_epochs):
            _descend(gram, inverses, n, a, g, penalty, nonnegative)
        rr -= _fall_of_energy(n, a, g, a_old, g_old)
        if _small_gap(n, a, g, rr, penalty, nonnegative) <= target:
            break
        l1 = 0.0
        for i in range(n):
            l1 += abs(a[i])
        # On the support the gap is at most about (largest error of a correlation) * ||a||_1.
        accuracy = 0.8 * target / l1 if l1 > 0.0 else 0.0
        fall = _polish(gram, n, a, g, penalty, accuracy, work, picks)
        rr -= fall
        if fall != 0.0 and _small_gap(n, a, g, rr, penalty, nonnegative) <= target:
            break
        n_epochs = 1 if fall != 0.0 else 10
        if phase > 10:
            n_epochs *= 2
    return rr


@compiled
@no_type_check
def _descend(gram, inverses, n, a, g, penalty, nonnegative):
    """One epoch of cyclic coordinate descent; `g` stays the correlation of the residual.

    `inverses`: of the diagonal of the Gram matrix.
    """
    kind = a.dtype.type
    # An atom enters only for more than rounding error, so that a copy of an atom in use stays out.
    entry = penalty + penalty * 16 * np.finfo(a.dtype).eps
    low = kind(-np.inf) if nonnegative else -penalty
    correlation = g[0]
    for i in range(n):
        following = min(i + 1, n - 1)
        old = a[i]
        if old == 0.0 and abs(correlation) <= entry:
            correlation = g[following]
            continue
        value = correlation + old * gram[i, i]
        step = (value - max(min(value, penalty), low)) * inverses[i] - old
        a[i] = old + step
        # Compute the next correlation on its own, so that it need not wait for the stores below.
        correlation = g[following] - step * gram[i, following]
        for first in range(0, n, N_LANES):
            add_scaled(g, first, -step, gram, i)


@compiled
@no_type_check
def _small_gap(n, a, g, rr, penalty, nonnegative):
    """Duality gap of the small problem from its codes and correlations."""
    l1 = a.dtype.type(0)
    ag = a.dtype.type(0)
    top = a.dtype.type(0)
    for i in range(n):
        l1 += abs(a[i])
        ag += a[i] * g[i]
        top = max(top, g[i] if nonnegative else abs(g[i]))
    return duality_gap(
        rr, rr + np.float64(ag), np.float64(l1), np.float64(penalty), np.float64(top), nonnegative
    )


@compiled
@no_type_check
def _fall_of_energy(n, a, g, a_old, g_old):
    """<r_old, r_old> - <r, r>, from codes and correlations on both sides of a step."""
    fall = a.dtype.type(0)
    for i in range(n):
        fall += (a[i] - a_old[i]) * (g[i] + g_old[i])
    return np.float64(fall)


@compiled
@no_type_check
def _growth_of_l1(n, a, a_old):
    growth = a.dtype.type(0)
    for i in range(n):
        growth += abs(a[i]) - abs(a_old[i])
    return growth


@compiled
@no_type_check
def _polish(gram, n, a, g, penalty, accuracy, work, picks):
    """Minimise over the support with its signs held (conjugate gradients), then clip sign flips.

    Returns the fall of <r, r>. The step is undone when the objective does not fall, so the
    coordinate descent around it converges in any case.
    """
    a_old, g_old, p, y, coefficients, signs = work[0], work[1], work[2], work[3], work[4], work[5]
    zero = a.dtype.type(0)
    qq = zero
    n_support = 0
    for i in range(n):
        a_old[i] = a[i]
        g_old[i] = g[i]
        signs[i] = zero
        p[i] = zero
        if a[i] != 0.0:
            signs[i] = 1 if a[i] > 0.0 else -1
            p[i] = g[i] - penalty * signs[i]
            qq += p[i] * p[i]
            picks[n_support] = i
            n_support += 1
    settled = False
    flat = 32 * np.finfo(a.dtype).eps
    for _ in range(_FEWEST_CG_STEPS + n_support // 2):
        pp = zero
        for k in range(n_support):
            coefficients[k] = p[picks[k]]
            pp += coefficients[k] * coefficients[k]
        for i in range(n):
            y[i] = zero
        accumulate_short(y, n, gram, picks, coefficients, n_support)
        curvature = zero
        for i in range(n):
            curvature += p[i] * y[i]
        level = curvature <= flat * pp
        step = _to_first_zero(a, p, signs, picks, n_support) if level else qq / curvature
        previous = qq
        qq = zero
        worst = zero
        for i in range(n):
            a[i] += step * p[i]
            g[i] -= step * y[i]
            y[i] = (g[i] - penalty * signs[i]) * abs(signs[i])
            qq += y[i] * y[i]
            worst = max(worst, abs(y[i]))
        settled = level or worst <= accuracy
        if settled:
            break
        momentum = qq / previous
        for i in range(n):
            p[i] = y[i] + momentum * p[i]
    if not settled:
        _newton_step(gram, n_support, picks, y, coefficients)
        for k in range(n_support):
            a[picks[k]] += coefficients[k]
            coefficients[k] = -coefficients[k]
        accumulate_short(g, n, gram, picks, coefficients, n_support)
    for i in range(n):
        p[i] = a[i] - a_old[i]
        y[i] = g[i] - g_old[i]
    for k in range(n_support):
        i = picks[k]
        if a[i] * signs[i] < 0.0:
            flipped = a[i]
            a[i] = zero
            for j in range(n):
                g[j] += flipped * gram[i, j]
    fall = _fall_of_energy(n, a, g, a_old, g_old)
    if penalty * _growth_of_l1(n, a, a_old) < 0.5 * fall:
        return fall
    # Clipping overshot. Up to the first sign change the objective is certain to fall.
    step = _to_first_zero(a_old, p, signs, picks, n_support)
    for i in range(n):
        a[i] = a_old[i] + step * p[i]
        if a[i] * signs[i] <= 0.0:
            a[i] = zero
        g[i] = g_old[i] + step * y[i]
    fall = _fall_of_energy(n, a, g, a_old, g_old)
    if step < 1.0 and penalty * _growth_of_l1(n, a, a_old) < 0.5 * fall:
        return fall
    for i in range(n):
        a[i] = a_old[i]
        g[i] = g_old[i]
    return 0.0


@compiled
@no_type_check
def _newton_step(gram, n_picks, picks, slope, step):
    """Solve `gram[picks, picks] step = slope[picks]`, for supports too ill-conditioned for CG."""
    factor = np.empty((n_picks, n_picks))
    solution = np.empty(n_picks)
    for i in range(n_picks):
        solution[i] = slope[picks[i]]
        for j in range(i + 1):
            factor[i, j] = gram[picks[i], picks[j]]
    cholesky_solve(factor, n_picks, 1e-13, solution)
    for i in range(n_picks):
        step[i] = solution[i]


@compiled
@no_type_check
def _to_first_zero(a, direction, signs, picks, n_picks):
    """Largest step along a direction before a coefficient changes sign; 0 if none does."""
    step = np.inf
    for k in range(n_picks):
        i = picks[k]
        if direction[i] * signs[i] < 0.0 and a[i] * signs[i] > 0.0:
            step = min(step, -a[i] / direction[i])
    return a.dtype.type(step if step < np.inf else 0.0)
