"""Compiled: working-set rounds, one signal at a time.

A round adds to the working set the atoms that violate optimality most, solves the small problem,
and updates the correlations with all atoms. That update reads many rows of the Gram matrix, so the
last round may skip it: a short change of the residual bounds the change of every correlation, and
the certificate then checks only the few atoms that may matter.
"""

from collections import namedtuple
from typing import no_type_check

import numpy as np

from trials.kernels.compiled.codes import CHUNK, certified_gap, chunk_maxima, exceeding, residual_of
from trials.kernels.compiled.loops import accumulate, accumulate_short, compiled, duality_gap
from trials.kernels.compiled.simd import N_LANES, count_above
from trials.kernels.compiled.small_lasso import N_WORK_ROWS, SPARE, solve_small

_MAX_ROUNDS = 20
_NEAR = 2000.0  # times the target: from such a gap, one more round is likely enough
_LITTLE = 0.2  # a change of the residual below this share of the penalty is short
FIRST_SIDE = 64
_SKEW = 16  # rows a power of two apart would compete for the same few cache lines
_FEWEST_NEWCOMERS = 16
_N_HALVINGS = 7

# What the rounds of a signal work on: `working[:n]` are its atoms, `a[:n]` their coefficients,
# `ahead[:n]` those to begin at, or those that the correlations are of; `member` marks the atoms,
# `maxima` holds the largest correlation of each chunk; the rest is scratch.
_Signal = namedtuple("_Signal", "working a ahead member maxima g steps work candidates")


@compiled
@no_type_check
def new_signal(n_atoms, n_padded, kind):
    """Scratch arrays for the working set of one signal, with spare room at their ends."""
    # Atoms are unsigned: numba checks each signed index for whether it counts from the end. The
    # arrays that `grow` appends to have one extra place: it writes each candidate before it
    # decides whether the candidate counts. Others are padded to whole registers.
    return _Signal(
        np.empty(n_atoms + 1, np.uint32),
        np.empty(n_atoms + 1, kind),
        np.empty(n_atoms, kind),
        np.zeros(n_padded, np.bool_),
        np.zeros(n_padded // CHUNK + N_LANES, kind),
        np.zeros(n_atoms + SPARE, kind),
        np.empty(n_atoms + N_LANES, kind),
        np.empty((N_WORK_ROWS, n_atoms + SPARE), kind),
        np.empty(n_padded + N_LANES, np.uint32),
    )


@compiled
@no_type_check
def room(n, kind):
    """A matrix with room for the Gram sub-block of at least n atoms."""
    side = FIRST_SIDE
    while side < n:
        side *= 2
    return np.zeros((side, side + _SKEW), kind)


@compiled
@no_type_check
def optimise(
    c,
    signal,
    n,
    n_gathered,
    small,
    rr,
    slack,
    penalty,
    target,
    gram,
    rounding,
    nonnegative,
    is_grown,
    may_defer,
):
    """Rounds of one signal until its estimated gap is under the target.

    `small` holds the Gram entries of the first `n_gathered` atoms of the working set. With
    `is_grown` the first round takes the working set as it is, and begins at the codes
    `signal.ahead`: it is likely the only one, so it is solved to the end. With `may_defer` a round
    that is likely the last, and changes the residual little, leaves its change out of `c`, and
    leaves the codes that `c` is of in `signal.ahead`, for `catch_up`. Returns (n, n_gathered,
    small, <r, r>, the bound `slack` of the errors of `c`, the estimated gap, the number of rounds,
    a bound of the energy of the change of the residual that `c` lacks; 0 if it lacks none).
    """
    working, a, ahead, member, maxima, g, steps, work, candidates = signal
    level = c.dtype.type(penalty)
    target *= 0.9  # the float64 certificate is stricter than this float32 estimate: leave a margin
    n_support = 0
    for i in range(n):
        n_support += np.int64(a[i] != 0.0)
    gap = np.inf
    rounds = 0
    while True:
        top = chunk_maxima(c, nonnegative, maxima)
        l1 = 0.0
        ag = 0.0
        for i in range(n):
            l1 += abs(a[i])
            ag += np.float64(a[i]) * c[working[i]]
        gap = duality_gap(rr, rr + ag, l1, penalty, np.float64(top), nonnegative)
        if gap <= target or rounds == _MAX_ROUNDS:
            return n, n_gathered, small, rr, slack, gap, rounds, 0.0
        rounds += 1
        if rounds > 1 or not is_grown:
            budget = max(_FEWEST_NEWCOMERS, n_support)
            n = grow(
                c, level, nonnegative, maxima, member, working, a, n, budget, candidates, steps
            )
        if n > small.shape[0]:
            small = room(n, c.dtype)
            n_gathered = 0
        gather(gram, working, n_gathered, n, small)
        n_gathered = n
        for i in range(n):
            steps[i] = a[i]
            g[i] = c[working[i]]
        is_ahead = rounds == 1 and is_grown
        is_last = may_defer and gap <= _NEAR * target
        if is_ahead:
            rr -= _go_ahead(small, n, a, g, ahead, work[0], work[1], candidates)
        inner = 0.8 * target if is_ahead or is_last else max(0.03 * gap, 0.3 * target)
        rr = solve_small(small, n, a, g, rr, level, inner, nonnegative, work, candidates)
        way = 0.0
        energy = 0.0
        for i in range(n):
            way += abs(a[i] - steps[i])
            energy += np.float64(a[i] - steps[i]) * (c[working[i]] - g[i])
            ahead[i] = steps[i]
        slack += 2.0 * rounding * way
        if is_last and 0.0 < energy <= (_LITTLE * penalty) ** 2:
            return n, n_gathered, small, rr, slack, gap, rounds, energy + 2.0 * slack * way
        n_support = 0
        for i in range(n):
            n_support += np.int64(a[i] != 0.0)
        catch_up(c, signal, n, gram)


@compiled
@no_type_check
def catch_up(c, signal, n, gram):
    """Carry the change of the codes since `signal.ahead` into the correlations."""
    n_moved = 0
    for i in range(n):
        signal.candidates[n_moved] = signal.working[i]
        signal.steps[n_moved] = signal.ahead[i] - signal.a[i]
        n_moved += np.int64(signal.a[i] != signal.ahead[i])
    accumulate(c, gram.shape[0], gram, signal.candidates, signal.steps, n_moved)


@compiled
@no_type_check
def certify(x, atoms, c, signal, n, slack, penalty, nonnegative, residual, minus):
    """Certify what `optimise` left: codes, correlations `c` within the slack, and their maxima.

    Fills `residual`, of float64; `minus` is scratch. Returns (the gap, <r, r>).
    """
    n_support = 0
    for i in range(n):
        signal.candidates[n_support] = signal.working[i]
        signal.steps[n_support] = signal.a[i]
        n_support += np.int64(signal.a[i] != 0.0)
    rr, xr, l1 = residual_of(x, atoms, signal.candidates, signal.steps, n_support, residual, minus)
    gap = certified_gap(
        c,
        signal.maxima,
        slack,
        residual,
        atoms,
        rr,
        xr,
        l1,
        penalty,
        nonnegative,
        signal.candidates,
    )
    return gap, rr


@compiled
@no_type_check
def _go_ahead(gram, n, a, g, ahead, steps, g_old, picks):
    """Move the codes to `ahead`, their correlations with them; returns the fall of <r, r>."""
    n_moved = 0
    for i in range(n):
        g_old[i] = g[i]
        if ahead[i] != a[i]:
            picks[n_moved] = i
            steps[n_moved] = a[i] - ahead[i]
            n_moved += 1
    accumulate_short(g, n, gram, picks, steps, n_moved)
    fall = a.dtype.type(0)
    for i in range(n):
        fall += (ahead[i] - a[i]) * (g[i] + g_old[i])
        a[i] = ahead[i]
    return np.float64(fall)


@compiled
@no_type_check
def keep_support(signal, n):
    """Drop the atoms without a coefficient from the working set; returns its new size."""
    m = 0
    for i in range(n):
        is_used = signal.a[i] != 0.0
        signal.member[signal.working[i]] = is_used
        signal.working[m] = signal.working[i]
        signal.a[m] = signal.a[i]
        m += np.int64(is_used)
    return m


@compiled
@no_type_check
def grow(c, penalty, nonnegative, maxima, member, working, a, n, budget, candidates, sizes):
    """Append about `budget` of the atoms that violate optimality most; returns the new size."""
    # At least as many atoms exceed a level as chunk maxima do.
    cut = _level(maxima, c.shape[0] // CHUNK, penalty, budget)
    n_candidates = exceeding(c, cut, nonnegative, candidates)
    for k in range(n_candidates):
        j = candidates[k]
        sizes[k] = 0 if member[j] else abs(c[j])
    sizes[n_candidates : n_candidates + N_LANES] = 0
    if n_candidates > budget:
        cut = _level(sizes, n_candidates, cut, budget)
    for k in range(n_candidates):
        j = candidates[k]
        is_new = sizes[k] > cut
        working[n] = j
        a[n] = 0
        member[j] |= is_new
        n += np.int64(is_new)
    return n


@compiled
@no_type_check
def _level(sizes, n, lowest, budget):
    """A level that at least `budget` of n sizes exceed, and hardly more; `lowest` if fewer do.

    Zeros fill the last 16 sizes up.
    """
    if budget >= n:
        return lowest
    top = lowest
    for k in range(n):
        top = max(top, sizes[k])
    low, high = lowest, top
    for _ in range(_N_HALVINGS):
        middle = sizes.dtype.type(0.5) * (low + high)
        count = 0
        for first in range(0, n, N_LANES):
            count += count_above(sizes, first, middle)
        are_enough = count >= budget
        low = middle if are_enough else low
        high = high if are_enough else middle
    return low


@compiled
@no_type_check
def gather(gram, working, n_old, n, small):
    """Bring rows and columns `n_old..n` of the Gram sub-block of the working set up to date."""
    for i in range(n_old, n):
        row = gram[working[i]]
        for j in range(i + 1):
            small[i, j] = row[working[j]]
            small[j, i] = small[i, j]
