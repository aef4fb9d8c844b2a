"""Compiled inner loops of the LASSO solver: one signal at a time, on small Gram sub-blocks.

A block of sparse codes is three arrays: `supports[i, :sizes[i]]` names the atoms of signal i and
`values[i, :sizes[i]]` their coefficients. Rows are as wide as the dictionary, of which only what a
code needs is ever touched.

Every function releases the GIL and is cached on disk. They call each other, and numba does not
notice a change of a callee in another file, so they stay together in this one.
"""

from typing import no_type_check

import numpy as np
from numba import njit

# Sums may be reordered so that they vectorise. Callers refuse NaN; infinity keeps its meaning.
_compiled = njit(
    cache=True,
    nogil=True,
    fastmath={"reassoc", "contract", "nsz", "arcp", "nnan"},
    error_model="numpy",
)

_MAX_ROUNDS = 20
_MAX_PHASES = 60
_FEWEST_CG_STEPS = 24
_FIRST_SIDE = 64
_CHUNK = 32


@_compiled
@no_type_check
def prepare(signals, penalties, scaled, scales, half_energies, scaled_penalties):
    """Divide signals and penalties by a power of two near the norm of the signal.

    The codes scale alike, exactly, and float32 stays far from its limits.
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


@_compiled
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


@_compiled
@no_type_check
def store(supports, values, sizes, scales, n_atoms, indices, data):
    """Write a block of codes as CSR entries with sorted indices, times the scales.

    Codes that vanish when scaled back are left out, of `sizes` too. Returns the number of entries.
    """
    at = 0
    dense = np.zeros(n_atoms, values.dtype)
    for i in range(sizes.shape[0]):
        factor = values.dtype.type(scales[i])
        for s in range(sizes[i]):
            dense[supports[i, s]] = values[i, s] * factor
        first = at
        for j in range(n_atoms):
            if dense[j] != 0.0:
                indices[at] = j
                data[at] = dense[j]
                dense[j] = 0
                at += 1
        sizes[i] = at - first
    return at


@_compiled
@no_type_check
def _accumulate(out, n, matrix, picks, coefficients, n_picks):
    """out[:n] += sum_k coefficients[k] * matrix[picks[k], :n], four rows at a time."""
    k = 0
    while k + 4 <= n_picks:
        c0, c1 = coefficients[k], coefficients[k + 1]
        c2, c3 = coefficients[k + 2], coefficients[k + 3]
        r0, r1 = matrix[picks[k]], matrix[picks[k + 1]]
        r2, r3 = matrix[picks[k + 2]], matrix[picks[k + 3]]
        for j in range(n):
            out[j] += (c0 * r0[j] + c1 * r1[j]) + (c2 * r2[j] + c3 * r3[j])
        k += 4
    while k < n_picks:
        c0 = coefficients[k]
        r0 = matrix[picks[k]]
        for j in range(n):
            out[j] += c0 * r0[j]
        k += 1


@_compiled
@no_type_check
def subtract_reconstructions(
    signals, atoms, supports, values, sizes, rows, residuals, residuals64, sums
):
    """Residuals `x - a D` of the listed rows, in float64 and rounded to the signals' type.

    `sums[k]` becomes (<r, r>, <x, r>, ||a||_1) of the k-th listed row.
    """
    d_model = signals.shape[1]
    minus = np.empty(supports.shape[1])
    for k in range(rows.shape[0]):
        row = rows[k]
        r = residuals64[k]
        x = signals[row]
        l1 = 0.0
        for s in range(sizes[row]):
            minus[s] = -values[row, s]
            l1 += abs(minus[s])
        for i in range(d_model):
            r[i] = x[i]
        _accumulate(r, d_model, atoms, supports[row], minus, sizes[row])
        rr = 0.0
        xr = 0.0
        for i in range(d_model):
            rr += r[i] * r[i]
            xr += x[i] * r[i]
            residuals[k, i] = r[i]
        sums[k, 0] = rr
        sums[k, 1] = xr
        sums[k, 2] = l1


@_compiled
@no_type_check
def _gap(rr, xr, l1, penalty, top, nonnegative):
    """P(a) - G(s r) at the best feasible scaling s of the residual; `top` is max_j <d_j, r>."""
    if rr <= 0.0:
        return penalty * l1
    bound = penalty / top if top > 0.0 else np.inf
    scale = min(max(xr / rr, 0.0 if nonnegative else -bound), bound)
    return 0.5 * rr + penalty * l1 - (scale * xr - 0.5 * scale * scale * rr)


@_compiled
@no_type_check
def _chunk_maxima(c, nonnegative, maxima):
    """Largest correlation (in size, or signed) of every chunk of atoms; returns the largest."""
    top = c.dtype.type(0)
    for chunk in range(maxima.shape[0]):
        first = chunk * _CHUNK
        last = min(first + _CHUNK, c.shape[0])
        largest = c.dtype.type(0)
        if nonnegative:
            for j in range(first, last):
                largest = max(largest, c[j])
        else:
            for j in range(first, last):
                largest = max(largest, abs(c[j]))
        maxima[chunk] = largest
        top = max(top, largest)
    return top


@_compiled
@no_type_check
def certify(correlations, slacks, residuals64, atoms, sums, penalties, nonnegative, gaps):
    """Absolute duality gaps in float64.

    The correlations may be float32 and a little stale: each is within its row's slack of the true
    one. So they say which atoms can attain the largest, and those few are recomputed in float64.
    """
    n_atoms, d_model = atoms.shape
    maxima = np.empty(-(-n_atoms // _CHUNK), correlations.dtype)
    for k in range(correlations.shape[0]):
        c = correlations[k]
        r = residuals64[k]
        lowest = _chunk_maxima(c, nonnegative, maxima) - 2.0 * slacks[k]
        top = 0.0
        for chunk in range(maxima.shape[0]):
            if maxima[chunk] < lowest:
                continue
            for j in range(chunk * _CHUNK, min((chunk + 1) * _CHUNK, n_atoms)):
                if (c[j] if nonnegative else abs(c[j])) >= lowest:
                    dot = 0.0
                    for i in range(d_model):
                        dot += r[i] * atoms[j, i]
                    top = max(top, dot if nonnegative else abs(dot))
        gaps[k] = _gap(sums[k, 0], sums[k, 1], sums[k, 2], penalties[k], top, nonnegative)


@_compiled
@no_type_check
def _soft(value, penalty, nonnegative):
    if value > penalty:
        return value - penalty
    if value < -penalty and not nonnegative:
        return value + penalty
    return value * 0


@_compiled
@no_type_check
def _descend(gram, n, a, g, penalty, nonnegative):
    """One epoch of cyclic coordinate descent; `g` stays the correlation of the residual."""
    # An atom enters for a reason above rounding: the copy of an atom in use stays out.
    entry = penalty + penalty * 16 * np.finfo(a.dtype).eps
    for i in range(n):
        h = gram[i, i]
        old = a[i]
        if old == 0.0 and abs(g[i]) <= entry:
            continue
        step = _soft(g[i] + old * h, penalty, nonnegative) / h - old
        if step != 0.0:
            a[i] = old + step
            row = gram[i]
            for k in range(n):
                g[k] -= step * row[k]


@_compiled
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
    return _gap(
        rr, rr + np.float64(ag), np.float64(l1), np.float64(penalty), np.float64(top), nonnegative
    )


@_compiled
@no_type_check
def _fall_of_energy(n, a, g, a_old, g_old):
    """<r_old, r_old> - <r, r>, from codes and correlations on both sides of a step."""
    fall = a.dtype.type(0)
    for i in range(n):
        fall += (a[i] - a_old[i]) * (g[i] + g_old[i])
    return np.float64(fall)


@_compiled
@no_type_check
def _polish(gram, n, a, g, penalty, accuracy, work, picks):
    """Minimise over the support with its signs held (conjugate gradients), then clip sign flips.

    Returns the fall of <r, r>. The step is undone when the objective does not fall, so that the
    coordinate descent around it converges whatever happens here.
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
        _accumulate(y, n, gram, picks, coefficients, n_support)
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
        _accumulate(g, n, gram, picks, coefficients, n_support)
    for i in range(n):
        p[i] = a[i] - a_old[i]
        y[i] = g[i] - g_old[i]
    for k in range(n_support):
        i = picks[k]
        if a[i] * signs[i] < 0.0:
            flipped = a[i]
            a[i] = zero
            row = gram[i]
            for j in range(n):
                g[j] += flipped * row[j]
    fall = _fall_of_energy(n, a, g, a_old, g_old)
    if penalty * _growth_of_l1(n, a, a_old) < 0.5 * fall:
        return fall
    # Clipping overshot. Up to the first change of sign the objective falls for certain.
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


@_compiled
@no_type_check
def _newton_step(gram, n_picks, picks, slope, step):
    """Solve `gram[picks, picks] step = slope[picks]`, for supports too ill-conditioned for CG."""
    factor = np.empty((n_picks, n_picks))
    solution = np.empty(n_picks)
    for i in range(n_picks):
        solution[i] = slope[picks[i]]
        for j in range(i + 1):
            factor[i, j] = gram[picks[i], picks[j]]
    _cholesky_solve(factor, n_picks, 1e-13, solution)
    for i in range(n_picks):
        step[i] = solution[i]


@_compiled
@no_type_check
def _cholesky_solve(factor, n, spanned, solution):
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


@_compiled
@no_type_check
def _to_first_zero(a, direction, signs, picks, n_picks):
    """Largest step along a direction before a coefficient leaves its sign; 0 if none does."""
    step = np.inf
    for k in range(n_picks):
        i = picks[k]
        if direction[i] * signs[i] < 0.0 and a[i] * signs[i] > 0.0:
            step = min(step, -a[i] / direction[i])
    return a.dtype.type(step if step < np.inf else 0.0)


@_compiled
@no_type_check
def _growth_of_l1(n, a, a_old):
    growth = a.dtype.type(0)
    for i in range(n):
        growth += abs(a[i]) - abs(a_old[i])
    return growth


@_compiled
@no_type_check
def _solve_small(gram, n, a, g, rr, penalty, target, nonnegative, work, picks):
    """Solve the problem on the working set to a duality gap of `target`; returns <r, r>."""
    a_old, g_old = work[0], work[1]
    n_epochs = 2
    for phase in range(_MAX_PHASES):
        for i in range(n):
            a_old[i] = a[i]
            g_old[i] = g[i]
        for _ in range(n_epochs):
            _descend(gram, n, a, g, penalty, nonnegative)
        rr -= _fall_of_energy(n, a, g, a_old, g_old)
        if _small_gap(n, a, g, rr, penalty, nonnegative) <= target:
            break
        l1 = 0.0
        for i in range(n):
            l1 += abs(a[i])
        # On the support the gap is at most about (largest error of a correlation) * ||a||_1.
        accuracy = 0.5 * target / l1 if l1 > 0.0 else 0.0
        fall = _polish(gram, n, a, g, penalty, accuracy, work, picks)
        rr -= fall
        if fall != 0.0 and _small_gap(n, a, g, rr, penalty, nonnegative) <= target:
            break
        n_epochs = 1 if fall != 0.0 else 10
        if phase > 10:
            n_epochs *= 2
    return rr


@_compiled
@no_type_check
def _grow(c, penalty, top, nonnegative, maxima, member, working, n, budget, candidates):
    """Append about `budget` of the atoms that violate optimality most; returns the new size."""
    n_candidates = 0
    for chunk in range(maxima.shape[0]):
        if maxima[chunk] <= penalty:
            continue
        for j in range(chunk * _CHUNK, min((chunk + 1) * _CHUNK, c.shape[0])):
            if (c[j] if nonnegative else abs(c[j])) > penalty and not member[j]:
                candidates[n_candidates] = j
                n_candidates += 1
    cut = penalty
    if n_candidates > budget and top > penalty:
        counts = np.zeros(64, np.int64)
        per_level = 63 / (top - penalty)
        for k in range(n_candidates):
            counts[min(int((abs(c[candidates[k]]) - penalty) * per_level), 63)] += 1
        level = 63
        total = counts[63]
        while total < budget and level > 0:
            level -= 1
            total += counts[level]
        cut = penalty + level / per_level
    for k in range(n_candidates):
        j = candidates[k]
        if abs(c[j]) >= cut:
            working[n] = j
            member[j] = True
            n += 1
    return n


@_compiled
@no_type_check
def _gather(gram, working, n_old, n, small):
    """Bring rows and columns `n_old..n` of the Gram sub-block of the working set up to date."""
    for i in range(n_old, n):
        row = gram[working[i]]
        for j in range(i + 1):
            small[i, j] = row[working[j]]
            small[j, i] = small[i, j]


@_compiled
@no_type_check
def improve(
    correlations,
    supports,
    values,
    sizes,
    rows,
    sums,
    penalties,
    targets,
    gram,
    rounding,
    nonnegative,
    slacks,
    gaps,
    n_rounds,
):
    """Improve the codes of the listed rows until their estimated gap is under the target.

    Args:
        correlations: (n_rows, n_atoms) of the present residuals; kept up to date.
        supports, values, sizes: the codes of the block, updated in place.
        rows: indices into the block, as penalties, targets and n_rounds are.
        sums: (n_rows, 3) as `subtract_reconstructions` leaves them; (<r, r>, -, ||a||_1) is kept
            up to date.
        gram: (n_atoms, n_atoms), `atoms @ atoms.T`.
        rounding: bound of the error of a dot product of two atoms, and of a residual of norm 1
            with an atom.
        slacks: (n_rows,) becomes a bound of the error of the correlations.
        gaps: (n_rows,) becomes the absolute gap, as estimated in the type of the codes.
    """
    n_atoms = gram.shape[0]
    kind = gram.dtype
    member = np.zeros(n_atoms, np.bool_)
    working = np.empty(n_atoms, np.int32)
    candidates = np.empty(n_atoms, np.int32)
    maxima = np.empty(-(-n_atoms // _CHUNK), kind)
    side = _FIRST_SIDE
    small = np.empty((side, side), kind)
    a = np.empty(n_atoms, kind)
    g = np.empty(n_atoms, kind)
    steps = np.empty(n_atoms, kind)
    work = np.empty((6, n_atoms), kind)
    for k in range(rows.shape[0]):
        row = rows[k]
        c = correlations[k]
        penalty = kind.type(penalties[row])
        rr = sums[k, 0]
        n = sizes[row]
        for i in range(n):
            a[i] = values[row, i]
            working[i] = supports[row, i]
            member[working[i]] = True
        n_gathered = 0
        n_support = n
        path = 0.0
        for _ in range(_MAX_ROUNDS):
            top = _chunk_maxima(c, nonnegative, maxima)
            l1 = 0.0
            ag = 0.0
            for i in range(n):
                l1 += abs(a[i])
                ag += np.float64(a[i]) * c[working[i]]
            gap = _gap(rr, rr + ag, l1, penalties[row], np.float64(top), nonnegative)
            gaps[k] = gap
            if gap <= targets[row]:
                break
            n_rounds[row] += 1
            n_old = n
            budget = max(16, n_support)
            n = _grow(c, penalty, top, nonnegative, maxima, member, working, n, budget, candidates)
            for i in range(n_old, n):
                a[i] = 0
            if n > side:
                while side < n:
                    side *= 2
                small = np.empty((side, side), kind)
                n_gathered = 0
            _gather(gram, working, n_gathered, n, small)
            n_gathered = n
            for i in range(n):
                steps[i] = a[i]
                g[i] = c[working[i]]
            target = max(0.03 * gap, 0.3 * targets[row])
            rr = _solve_small(small, n, a, g, rr, penalty, target, nonnegative, work, candidates)
            n_support = 0
            n_moved = 0
            for i in range(n):
                if a[i] != 0.0:
                    n_support += 1
                if a[i] != steps[i]:
                    candidates[n_moved] = working[i]
                    steps[n_moved] = steps[i] - a[i]
                    path += abs(steps[n_moved])
                    n_moved += 1
            _accumulate(c, n_atoms, gram, candidates, steps, n_moved)
        l1 = 0.0
        n_support = 0
        for i in range(n):
            member[working[i]] = False
            if a[i] != 0.0:
                supports[row, n_support] = working[i]
                values[row, n_support] = a[i]
                l1 += abs(a[i])
                n_support += 1
        sizes[row] = n_support
        slacks[k] = rounding * (np.sqrt(sums[k, 0]) + 2.0 * path)
        sums[k, 0] = rr
        sums[k, 2] = l1


@_compiled
@no_type_check
def fit_supports(signals, atoms, gram, indptr, indices, first, last, values):
    """Least squares on the supports of rows `first..last`, by Cholesky in float64."""
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
                total += atoms[atom, k] * signals[row, k]
            solution[i] = total
            for j in range(i + 1):
                factor[i, j] = gram[atom, indices[begin + j]]
        _cholesky_solve(factor, n, 1e-10, solution)
        for i in range(n):
            values[begin + i] = solution[i]
