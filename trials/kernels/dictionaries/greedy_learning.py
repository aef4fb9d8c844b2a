"""Dictionary learning for greedy codes: orthogonal matching pursuit and exact updates in turn.

A second learner next to `learning`, whose codes are the LASSO's. A dictionary that is learned for
one coder favours it, so a statement on the sparsity of rows should hold for both.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from trials.kernels.compiled.dictionary_update import update_atoms
from trials.kernels.dictionaries._device_update import fitted_on_device
from trials.kernels.dictionaries._statistics import (
    mixed_residuals,
    starting_atoms,
    statistics,
    unit_rows,
)
from trials.kernels.sparse_coding.checks import check_problem
from trials.kernels.sparse_coding.lasso import debiased_codes
from trials.kernels.sparse_coding.omp import omp_codes, omp_codes_with_mean
from trials.kernels.threads import thread_count

_N_REFITS = 3
_DEAL_EVERY = 4
"""Passes after which atoms are dealt to the rows anew, which takes three times as long."""


class GreedyDictionary(NamedTuple):
    """A dictionary, its codes and how it came to be.

    Attributes:
        atoms: (n_atoms, d_model), rows of unit norm.
        codes: (n_signals, n_atoms) greedy codes for exactly these atoms.
        objective: one per pass that lowered it, the weighted mean of `||x - a D||^2` with the codes
            of that pass.
        n_passes: coding passes.
        n_reseeded: unused atoms that were drawn again, summed over the passes.
        converged: whether the objective settled within `tolerance` before `max_passes`.
    """

    atoms: Float[np.ndarray, "n_atoms d_model"]
    codes: csr_array
    objective: Float[np.ndarray, " n_kept"]
    n_passes: int
    n_reseeded: int
    converged: bool


def learn_greedy_dictionary(
    signals: Float[np.ndarray, "n_signals d_model"],
    n_atoms: int,
    *,
    mean_nonzero: float,
    weights: Float[np.ndarray, " n_weights"] | None = None,
    tolerance: float = 1e-3,
    max_passes: int = 50,
    warm_start: Float[np.ndarray, "n_warm d_warm"] | None = None,
    rng: np.random.Generator,
    n_threads: int | None = None,
    device: str = "cpu",
) -> GreedyDictionary:
    """`min_{D, a} sum_i w_i ||x_i - a_i D||^2` with sum_i w_i |a_i|_0 = mean_nonzero sum_i w_i.

    Alternates `omp_codes_with_mean` and the update of the atoms from the statistics `A'WA` and
    `A'WX`, as the method of optimal directions does (Engan, Aase and Husoy 1999), atom after atom
    on the unit sphere. Within a pass, coefficients and atoms are refitted to each other with the
    supports fixed, in the manner of K-SVD (Aharon, Elad and Bruckstein 2006). The number of atoms
    of each row is chosen anew every few passes, and in the pass that may be the last. Greedy codes
    of better atoms may be worse than the codes before them: such a pass is discarded, and the
    objective never rises. Unused atoms restart as mixtures of residuals of badly reconstructed
    rows; without `warm_start`, all start as mixtures of a few rows. The result does not depend on
    `n_threads`.

    Args:
        signals: rows, float32 or float64, centred and scaled by the caller.
        mean_nonzero: atoms per row in the weighted mean.
        weights: not negative, of any scale; 1 by default.
        tolerance: stop when the objective falls by less than this fraction per pass.
        warm_start: atoms to start from, normalised first.
        device: "cpu", or "cuda:0" for torch there: the same passes, with other rounding.

    Raises:
        ValueError: as `omp_codes_with_mean`; or n_atoms or max_passes below 1, a tolerance that is
            not positive, a warm start of another shape.
    """
    if n_atoms < 1 or max_passes < 1 or not 0 < tolerance < np.inf:
        raise ValueError(
            f"n_atoms is {n_atoms}, max_passes {max_passes}, tolerance {tolerance}; the first two "
            "must be at least 1, the tolerance positive"
        )
    check_problem(signals, np.ones((1, signals.shape[-1]), dtype=signals.dtype))
    weights = np.ones(len(signals)) if weights is None else weights
    n_threads = thread_count(n_threads)
    atoms = starting_atoms(signals, n_atoms, warm_start, rng)
    objective: list[float] = []
    best, codes = atoms, csr_array((len(signals), n_atoms), dtype=signals.dtype)
    n_reseeded, converged, settles = 0, False, False
    for n_passes in range(1, max_passes + 1):
        deals = settles or n_passes % _DEAL_EVERY == 1
        if deals:
            found = omp_codes_with_mean(
                signals,
                atoms,
                mean_nonzero=mean_nonzero,
                weights=weights,
                n_threads=n_threads,
                device=device,
            )
        else:
            found = omp_codes(
                signals,
                atoms,
                n_nonzero=np.diff(codes.indptr),
                n_threads=n_threads,
                device=device,
            )
        error = float(weights @ found.error / weights.sum())
        fall = objective[-1] - error if objective else np.inf
        if fall >= 0:
            best, codes = atoms, found.codes
            objective.append(error)
        settles = fall <= tolerance * objective[-1]
        converged = settles and deals
        if converged:
            break
        if n_passes < max_passes:
            share = weights / weights.sum()
            if device == "cpu":
                atoms, n_dead = _fitted(signals, share, best, codes, rng, n_threads)
            else:
                atoms, n_dead = fitted_on_device(
                    signals, share, best, codes, rng, device, n_refits=_N_REFITS
                )
            n_reseeded += n_dead
    return GreedyDictionary(best, codes, np.array(objective), n_passes, n_reseeded, converged)


def _fitted(
    signals: Float[np.ndarray, "n_signals d_model"],
    share: Float[np.ndarray, " n_signals"],
    atoms: Float[np.ndarray, "n_atoms d_model"],
    codes: csr_array,
    rng: np.random.Generator,
    n_threads: int,
) -> tuple[Float[np.ndarray, "n_atoms d_model"], int]:
    """Atoms fitted to codes on fixed supports, unused ones drawn again; and how many were."""
    for n_refits in range(_N_REFITS):
        if n_refits:
            codes = debiased_codes(signals, atoms, codes, n_threads=n_threads)
        usage, cross = statistics(signals, share, codes, n_threads)
        atoms = unit_rows(update_atoms(atoms, usage, cross))
    dead = np.flatnonzero(np.diagonal(usage) <= 0)
    if len(dead):
        atoms[dead] = mixed_residuals(signals, share, codes, atoms, len(dead), rng)
    return atoms, len(dead)
