"""Compiled: improve the codes of a block of signals in place, one signal after the other."""

from typing import no_type_check

import numpy as np

from trials.kernels.compiled.loops import compiled
from trials.kernels.compiled.small_lasso import N_WORK_ROWS, SPARE, solve_small
from trials.kernels.compiled.working_set import (
    FIRST_SIDE,
    catch_up,
    certify,
    gather,
    keep_support,
    new_signal,
    optimise,
    room,
)

_MAX_DEFERRED = 3


@compiled
@no_type_check
def improve(
    correlations,
    signals,
    atoms,
    supports,
    values,
    sizes,
    rows,
    sums,
    penalties,
    targets,
    gram,
    rounding,
    norm,
    nonnegative,
    is_certified,
    residuals,
    gaps,
    n_rounds,
):
    """Improve the codes of the listed rows until their estimated gap is under the target.

    Args:
        correlations: (n_rows, n_padded) of the present residuals; scratch from then on.
        supports, values, sizes: the codes of the block, updated in place.
        rows: indices into the block, as signals, penalties, targets and n_rounds are.
        sums: (n_rows, 2), <r, r> and ||a||_1 of each row; kept up to date.
        gram: (n_atoms, n_atoms), `atoms @ atoms.T`.
        rounding: bound on the rounding error of a dot product of two atoms, or of an atom and a
            residual of norm 1.
        norm: the largest norm of an atom.
        residuals: (n_rows, d_model), filled where the certified gap exceeds the target.
        gaps: (n_rows,) receives the absolute gap: computed in float64 from the codes with
            `is_certified`, else an estimate in the type of the codes, which may predate the last
            round.
    """
    kind = gram.dtype
    signal = new_signal(gram.shape[0], correlations.shape[1], kind)
    small = room(FIRST_SIDE, kind)
    residual = np.empty(signals.shape[1])
    minus = np.empty(gram.shape[0])
    for k in range(rows.shape[0]):
        row = rows[k]
        n = sizes[row]
        for i in range(n):
            signal.a[i] = values[row, i]
            signal.working[i] = supports[row, i]
            signal.member[signal.working[i]] = True
        rr = sums[k, 0]
        slack = rounding * np.sqrt(rr)
        n_gathered = 0
        for n_deferred in range(_MAX_DEFERRED + 1):
            n, n_gathered, small, rr, slack, gap, rounds, deferred = optimise(
                correlations[k],
                signal,
                n,
                n_gathered,
                small,
                rr,
                slack,
                penalties[row],
                targets[row],
                gram,
                rounding,
                nonnegative,
                False,
                n_deferred < _MAX_DEFERRED,
            )
            n_rounds[row] += rounds
            if not is_certified:
                break
            gap, rr = certify(
                signals[row],
                atoms,
                correlations[k],
                signal,
                n,
                slack + norm * np.sqrt(deferred),
                penalties[row],
                nonnegative,
                residual,
                minus,
            )
            if gap <= targets[row] or deferred == 0.0:
                break
            catch_up(correlations[k], signal, n, gram)
        n = keep_support(signal, n)
        l1 = 0.0
        for i in range(n):
            supports[row, i] = signal.working[i]
            values[row, i] = signal.a[i]
            l1 += abs(signal.a[i])
            signal.member[signal.working[i]] = False
        sizes[row] = n
        if is_certified and gap > targets[row]:
            for i in range(residual.shape[0]):
                residuals[k, i] = residual[i]
        sums[k, 0] = rr
        sums[k, 1] = l1
        gaps[k] = gap


@compiled
@no_type_check
def refit(
    signals, atoms, supports, values, sizes, half_energies, penalties, tolerance, gram, nonnegative
):
    """Minimise over the current support of each row only; other atoms are not considered."""
    kind = gram.dtype
    d_model = signals.shape[1]
    n_atoms = gram.shape[0]
    small = room(FIRST_SIDE, kind)
    g = np.zeros(n_atoms + SPARE, kind)
    work = np.empty((N_WORK_ROWS, n_atoms + SPARE), kind)
    picks = np.empty(n_atoms, np.uint32)
    for row in range(sizes.shape[0]):
        n = sizes[row]
        a = values[row]
        if n > small.shape[0]:
            small = room(n, kind)
        gather(gram, supports[row], 0, n, small)
        rr = 2.0 * half_energies[row]
        for i in range(n):
            atom = supports[row, i]
            product = kind.type(0)
            for j in range(d_model):
                product += signals[row, j] * atoms[atom, j]
            g[i] = product
            for j in range(n):
                g[i] -= small[i, j] * a[j]
            rr -= np.float64(a[i]) * (product + g[i])
        target = tolerance * half_energies[row]
        level = kind.type(penalties[row])
        solve_small(small, n, a, g, rr, level, target, nonnegative, work, picks)
        m = 0
        for i in range(n):
            if a[i] != 0.0:
                supports[row, m] = supports[row, i]
                a[m] = a[i]
                m += 1
        sizes[row] = m
