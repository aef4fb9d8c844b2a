"""Compiled: codes of a signal along falling penalties, each predicted from the previous ones.

Between changes of the support, codes and correlations are linear in the penalty: continued to the
next penalty, they name its atoms and begin its codes.
"""

from typing import no_type_check

import numpy as np

from trials.kernels.compiled.codes import room_to_sort, store_sorted
from trials.kernels.compiled.loops import compiled
from trials.kernels.compiled.working_set import (
    FIRST_SIDE,
    certify,
    grow,
    keep_support,
    new_signal,
    optimise,
    room,
)

_MAX_STALLED = 3
# A working set is kept over the penalties until it is so much larger than the support.
_LARGEST_OVER_SUPPORT, _ROOM_FOR_IDLE = 1.25, 8


@compiled
@no_type_check
def follow(
    signals,
    atoms,
    correlations,
    paths,
    tolerance,
    half_energies,
    scales,
    gram,
    rounding,
    nonnegative,
    indices,
    values,
    lengths,
    gaps,
    n_rounds,
):
    """Codes of each signal along its own falling penalties, one signal after the other.

    Args:
        signals: (n_rows, d_model); correlations: (n_rows, n_padded), with all atoms.
        paths: (n_rows, n_penalties), falling.
        tolerance: wanted gap over the half energy.
        scales: (n_rows,), what the codes are multiplied by in the end.
        indices, values: room for codes; grown where needed.
        lengths, gaps, n_rounds: (n_rows, n_penalties), filled; gaps are absolute, in float64.

    Returns (indices, values), signal by signal and penalty by penalty.
    """
    n_atoms, d_model = atoms.shape
    kind = gram.dtype
    signal = new_signal(n_atoms, correlations.shape[1], kind)
    small = room(FIRST_SIDE, kind)
    residual = np.empty(d_model)
    minus = np.empty(n_atoms)
    before = np.empty(correlations.shape[1], kind)
    guess = np.empty(correlations.shape[1], kind)
    was = np.zeros(n_atoms, kind)
    dense, order = room_to_sort(n_atoms, kind)
    at = 0
    for row in range(signals.shape[0]):
        c = correlations[row]
        n = 0
        n_gathered = 0
        rr = 2.0 * half_energies[row]
        target = tolerance * half_energies[row]
        slack = rounding * np.sqrt(rr)
        for p in range(paths.shape[1]):
            penalty = paths[row, p]
            best = np.inf
            n_stalled = 0
            is_grown = p > 1 and paths[row, p - 2] > paths[row, p - 1]
            if is_grown:
                if n > _LARGEST_OVER_SUPPORT * lengths[row, p - 1] + _ROOM_FOR_IDLE:
                    for i in range(n):
                        if signal.a[i] == 0.0:
                            was[signal.working[i]] = 0
                    n = keep_support(signal, n)
                    n_gathered = 0
                n = _look_ahead(
                    c, before, guess, was, signal, n, paths[row, p - 2 : p + 1], nonnegative
                )
            for i in range(n):
                was[signal.working[i]] = signal.a[i]
            before[:] = c
            while half_energies[row] > 0.0:
                n, n_gathered, small, rr, slack, gap, rounds, _ = optimise(
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
                    False,
                )
                is_grown = False
                n_rounds[row, p] += rounds
                gap, rr = certify(
                    signals[row],
                    atoms,
                    c,
                    signal,
                    n,
                    slack,
                    penalty,
                    nonnegative,
                    residual,
                    minus,
                )
                gaps[row, p] = gap
                n_stalled = n_stalled + 1 if gap > 0.9 * best else 0
                best = min(best, gap)
                if gap <= target or n_stalled == _MAX_STALLED:
                    break
                # Rounding errors of the correlations accumulate: recompute them from the residual.
                for j in range(n_atoms):
                    dot = 0.0
                    for i in range(d_model):
                        dot += residual[i] * atoms[j, i]
                    c[j] = dot
                slack = rounding * np.sqrt(rr)
            if at + n > indices.shape[0]:
                more = indices.shape[0] + n
                indices = np.concatenate((indices, np.empty(more, np.int32)))
                values = np.concatenate((values, np.empty(more, kind)))
            last = store_sorted(
                signal.working, signal.a, n, scales[row], dense, order, at, indices, values
            )
            lengths[row, p] = last - at
            at = last
        for i in range(n):
            signal.member[signal.working[i]] = False
            was[signal.working[i]] = 0
    return indices[:at], values[:at]


@compiled
@no_type_check
def _look_ahead(c, before, guess, was, signal, n, penalties, nonnegative):
    """Continue codes and correlations from the last two penalties to the next one.

    Args:
        c, before: correlations at the last penalty and at the one before; `guess` is scratch.
        was: codes by atom at the penalty before the last one.
        penalties: the last two and the next.

    The working set grows by the atoms whose correlations will reach the penalty, and its codes to
    be are left in `signal.ahead`. Returns its new size.
    """
    kind = c.dtype
    share = kind.type((penalties[1] - penalties[2]) / (penalties[0] - penalties[1]))
    for j in range(c.shape[0]):
        guess[j] = c[j] + share * (c[j] - before[j])
    working, a, ahead, member, maxima, _, steps, _, candidates = signal
    level = kind.type(0.98 * penalties[2])
    every = c.shape[0]
    grown = grow(guess, level, nonnegative, maxima, member, working, a, n, every, candidates, steps)
    for i in range(grown):
        ahead[i] = a[i] + share * (a[i] - was[working[i]])
        if ahead[i] * a[i] <= 0.0:  # it would change sign, or was zero
            ahead[i] = 0
    return grown
