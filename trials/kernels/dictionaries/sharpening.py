"""Codes within a given error, and dictionaries sharpened until such codes are as short as can be.

A dictionary learned by the LASSO is close to the true one, but shrinkage leaves its atoms off by
more than 8-bit rounding does. Codes over it then need many atoms to reach the error of rounding,
however sparse the rows are.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array

from trials.kernels.sparse_coding import omp_codes

_FIRST_ERROR = 0.03
_SHRINK = 4.0
_ROUNDS = 24
_LONGEST = 4
"""A code of more than d_model over this many atoms is not sparse: nothing is learned from it."""
_ROWS_PER_ATOM = 16
_SAME_COSINE = 0.99
_FEW_USES = 0.25
"""Share of the median number of uses."""
_LIKE = 0.9
_MOST_RESIDUALS = 2000


class WithinError(NamedTuple):
    """Greedy codes of the fewest atoms that reach a given error.

    Attributes:
        codes: (n_signals, n_atoms).
        reached: (n_signals,) whether the error is at most the given one.
    """

    codes: csr_array
    reached: Bool[np.ndarray, " n_signals"]


class Sharpened(NamedTuple):
    """A sharpened dictionary.

    Attributes:
        atoms: (n_atoms, d_model), rows of unit norm where they changed.
        n_rounds: rounds of coding and updating; 0 where codes were not sparse.
        n_renewed: atoms that were duplicates or rarely used and were replaced, over all rounds.
    """

    atoms: Float[np.ndarray, "n_atoms d_model"]
    n_rounds: int
    n_renewed: int


def codes_within(
    signals: Float[np.ndarray, "n_signals d_model"],
    atoms: Float[np.ndarray, "n_atoms d_dictionary"],
    *,
    max_error: Float[np.ndarray, " n_signals"],
    most: int | None = None,
    n_threads: int | None = None,
) -> WithinError:
    """Codes by orthogonal matching pursuit, stopped at `||x - a D||^2 <= max_error`.

    The number of atoms is exact up to 64 and within 1/64 above. A signal that `most` atoms (default
    min(n_atoms, d_model)) do not reach has that many.
    """
    limit = min(atoms.shape) if most is None else min(most, *atoms.shape)
    enough, too_few = np.full(len(signals), limit), np.full(len(signals), -1)
    reached = np.zeros(len(signals), dtype=bool)

    def tried(which: Int[np.ndarray, " n"], counts: Int[np.ndarray, " n"]) -> None:
        found = omp_codes(signals[which], atoms, n_nonzero=counts, n_threads=n_threads)
        is_within = found.error <= max_error[which]
        enough[which[is_within]] = counts[is_within]
        too_few[which[~is_within]] = counts[~is_within]
        reached[which[is_within]] = True

    count, pending = 0, np.arange(len(signals))
    while len(pending):
        tried(pending, np.full(len(pending), count))
        pending = np.flatnonzero(~reached)
        if count == limit:
            break
        count = min(limit, max(1, 2 * count))
    while len(pending := np.flatnonzero(reached & (enough - too_few > 1 + enough // 64))):
        tried(pending, (enough[pending] + too_few[pending]) // 2)
    found = omp_codes(signals, atoms, n_nonzero=enough, n_threads=n_threads)
    return WithinError(found.codes, reached)


def sharpen_dictionary(
    signals: Float[np.ndarray, "n_signals d_model"],
    atoms: Float[np.ndarray, "n_atoms d_model"],
    *,
    max_error: Float[np.ndarray, " n_signals"],
    n_threads: int | None = None,
) -> Sharpened:
    """Alternate `codes_within` and least squares for the atoms while the error shrinks.

    The error starts at 3 % of each signal and falls by 4 to a quarter of `max_error`. Only signals
    with at most the median number of atoms count in the update (method of optimal directions,
    Engan, Aase and Husoy 1999): a longer code most often has wrong atoms. Duplicates and rarely
    used atoms become the residual that most others are like. If over half of the signals need more
    than d_model / 4 atoms, the codes are not sparse and the atoms stay as they are.
    """
    step = max(1, len(signals) // (_ROWS_PER_ATOM * len(atoms)))
    signals, max_error = signals[::step], max_error[::step]
    energies = np.einsum("ij,ij->i", signals, signals, dtype=np.float64)
    is_zero = energies == 0
    signals, max_error, energies = signals[~is_zero], max_error[~is_zero], energies[~is_zero]
    longest = max(1, signals.shape[1] // _LONGEST)
    share, n_renewed = _FIRST_ERROR, 0
    for n_rounds in range(_ROUNDS):
        allowed = np.maximum(share * energies, max_error)
        found = codes_within(signals, atoms, max_error=allowed, most=longest, n_threads=n_threads)
        lengths = np.diff(found.codes.indptr)
        typical = np.median(lengths[found.reached]) if found.reached.any() else 0
        is_short = found.reached & (lengths <= typical)
        if not found.reached.mean() > 0.5:
            return Sharpened(atoms, n_rounds, n_renewed)
        atoms = _updated(signals, found.codes, atoms, is_short / allowed)
        atoms, n_new = _renewed(signals, found, is_short, atoms, n_threads)
        n_renewed += n_new
        if n_new:  # a new atom must settle before less error is allowed
            share = min(_FIRST_ERROR, share * _SHRINK)
        elif (share * energies <= max_error / _SHRINK).all():
            break
        else:
            share /= _SHRINK
    return Sharpened(atoms, n_rounds + 1, n_renewed)


def _updated(
    signals: Float[np.ndarray, "n_signals d_model"],
    codes: csr_array,
    atoms: Float[np.ndarray, "n_atoms d_model"],
    weights: Float[np.ndarray, " n_signals"],
) -> Float[np.ndarray, "n_atoms d_model"]:
    """Weighted least squares for the atoms that are used, at unit norm."""
    weighted = csr_array(codes.multiply(weights[:, None]))
    gram = (codes.T @ weighted).toarray().astype(np.float64)
    used = np.flatnonzero(np.diag(gram) > 1e-6 * np.trace(gram) / len(gram))
    if not len(used):
        return atoms
    gram = gram[np.ix_(used, used)]
    gram[np.diag_indices_from(gram)] *= 1 + 1e-9
    new = np.linalg.lstsq(gram, (weighted.T @ signals)[used].astype(np.float64), rcond=1e-12)[0]
    norms = np.linalg.norm(new, axis=1, keepdims=True)
    updated = atoms.copy()
    updated[used] = np.where(norms > 0, new / np.where(norms > 0, norms, 1), atoms[used])
    return updated


def _renewed(
    signals: Float[np.ndarray, "n_signals d_model"],
    found: WithinError,
    is_short: Bool[np.ndarray, " n_signals"],
    atoms: Float[np.ndarray, "n_atoms d_model"],
    n_threads: int | None,
) -> tuple[Float[np.ndarray, "n_atoms d_model"], int]:
    """Duplicates and rarely used atoms replaced by residuals of long codes; how many.

    A residual takes the place of an atom if more long codes leave one like it than short codes use
    the atom.
    """
    uses = np.bincount(found.codes[is_short].indices, minlength=len(atoms))
    kept: list[int] = []
    replaced: list[int] = []
    cosines = np.abs(atoms @ atoms.T)
    for j in np.argsort(-uses, kind="stable"):
        if kept and cosines[j, kept].max() > _SAME_COSINE:
            uses[j] = 0
        (replaced if uses[j] <= _FEW_USES * np.median(uses) else kept).append(int(j))
    replaced.sort(key=lambda j: uses[j])
    lengths = np.diff(found.codes.indptr)
    typical = int(lengths[is_short].max(initial=0))
    long = np.flatnonzero(lengths > typical)[:_MOST_RESIDUALS]
    if not replaced or not kept or not len(long):
        return atoms, 0
    # What a missing atom leaves once the others of its row are taken away.
    count = min(max(0, typical - 1), len(kept), signals.shape[1])
    codes = omp_codes(signals[long], atoms[kept], n_nonzero=count, n_threads=n_threads).codes
    left = signals[long] - codes @ atoms[kept]
    left /= np.maximum(np.linalg.norm(left, axis=1, keepdims=True), np.finfo(left.dtype).tiny)
    like = np.abs(left @ left.T)
    is_open = np.ones(len(left), dtype=bool)
    renewed = atoms.copy()
    n_renewed = 0
    for j in replaced:
        n_like = np.where(is_open, (like[:, is_open] > _LIKE).sum(axis=1), 0)
        best = int(np.argmax(n_like))
        if n_like[best] <= max(1, uses[j]):
            break
        renewed[j] = _common_direction(left, left[best])
        is_open &= np.abs(left @ renewed[j]) <= _LIKE
        n_renewed += 1
    return renewed, n_renewed


def _common_direction(
    directions: Float[np.ndarray, "n d_model"], start: Float[np.ndarray, " d_model"]
) -> Float[np.ndarray, " d_model"]:
    """Leading principal axis of the directions like `start`, which are then chosen again."""
    axis = start
    for _ in range(3):
        like = directions[np.abs(directions @ axis) > _LIKE]
        if not len(like):
            break
        axis = np.linalg.svd(like, full_matrices=False)[2][0]
    return axis
