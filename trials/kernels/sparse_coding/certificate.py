"""The proof that a code is optimal, computed from scratch."""

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from trials.kernels.sparse_coding.checks import Penalty, check_codes, check_penalties, check_problem

_BLOCK = 1024


def duality_gap(
    signals: Float[np.ndarray, "n_signals d_model"],
    atoms: Float[np.ndarray, "n_atoms d_dictionary"],
    codes: csr_array,
    *,
    l1_penalty: Penalty,
    nonnegative: bool = False,
) -> Float[np.ndarray, " n_signals"]:
    """Relative duality gap `(P(a) - G(theta)) / (1/2 ||x||^2)` of every code, in float64.

    `P(a) = 1/2 ||r||^2 + l1_penalty ||a||_1` with `r = x - a D`, and
    `G(theta) = 1/2 ||x||^2 - 1/2 ||x - theta||^2` at the best feasible multiple `theta` of `r`:
    `|<d_j, theta>| <= l1_penalty` for all atoms (`<d_j, theta> <= l1_penalty` for nonnegative
    codes). `P` is within the gap of its minimum (Fercoq, Gramfort and Salmon 2015). 0 for zero
    signals with zero codes. This shares no code with the solver: it is its independent twin, for
    tests and for codes from elsewhere.

    Raises:
        ValueError: as `lasso_codes`; or negative codes with `nonnegative`.
    """
    check_problem(signals, atoms)
    check_codes("codes", codes, (len(signals), len(atoms)), nonnegative)
    penalties = check_penalties(l1_penalty, len(signals))
    atoms = atoms.astype(np.float64)
    gaps = np.empty(len(signals))
    for start in range(0, len(signals), _BLOCK):
        part = slice(start, start + _BLOCK)
        block = signals[part].astype(np.float64)
        block_codes = codes[part].astype(np.float64)
        residuals = block - block_codes @ atoms
        correlations = residuals @ atoms.T
        top = (correlations if nonnegative else np.abs(correlations)).max(axis=1)
        energy = (residuals**2).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            bound = np.where(top > 0, penalties[part] / top, np.inf)
            wanted = np.where(energy > 0, (block * residuals).sum(axis=1) / energy, 0.0)
        theta = np.clip(wanted, 0.0 if nonnegative else -bound, bound)[:, None] * residuals
        half_norms = 0.5 * (block**2).sum(axis=1)
        primal = 0.5 * energy + penalties[part] * abs(block_codes).sum(axis=1)
        dual = half_norms - 0.5 * ((block - theta) ** 2).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = (primal - dual) / half_norms
        gaps[part] = np.where(
            half_norms > 0, np.maximum(relative, 0.0), np.where(primal > 0, np.inf, 0.0)
        )
    return gaps
