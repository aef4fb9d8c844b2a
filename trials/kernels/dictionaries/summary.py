"""What a dictionary looks like: coherence, use of its atoms, copies of tokens, agreement."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from trials.kernels.dictionaries._device_update import largest_products

COPY_COSINE = 0.95
"""An atom this close to a row is a copy of that token."""

RARE_TOKENS = 3
"""An atom used by fewer tokens than this memorises tokens; it is no shared feature."""


class AtomUse(NamedTuple):
    """Use of each atom.

    Attributes:
        n_tokens: tokens in whose code the atom is active.
        weight: share of the total token weight that these tokens carry.
    """

    n_tokens: Int[np.ndarray, " n_atoms"]
    weight: Float[np.ndarray, " n_atoms"]


def atom_use(codes: csr_array, weights: Float[np.ndarray, " n_tokens"]) -> AtomUse:
    """Count, plain and weighted, the tokens that use each atom."""
    n_atoms = codes.shape[1]
    per_entry = np.repeat(weights, np.diff(codes.indptr))
    return AtomUse(
        np.bincount(codes.indices, minlength=n_atoms),
        np.bincount(codes.indices, per_entry, minlength=n_atoms) / weights.sum(),
    )


def largest_cosines(
    vectors: Float[np.ndarray, "n_vectors d_model"],
    others: Float[np.ndarray, "n_others d_model"],
    *,
    device: str = "cpu",
) -> Float[np.ndarray, " n_vectors"]:
    """max_l |cos(v_j, o_l)| for each j; zero vectors have cosine 0 with all."""
    left = _unit_rows(vectors)
    if device != "cpu":
        return largest_products(left, _unit_rows(others), device)
    best = np.zeros(len(left), dtype=left.dtype)
    block = max(1, 2**23 // max(1, len(left)))
    for start in range(0, len(others), block):
        # Unit vectors of a block only: all of them would take as much as the rows.
        cosines = left @ _unit_rows(others[start : start + block]).T
        np.maximum(best, np.abs(cosines, out=cosines).max(axis=1), out=best)
        del cosines  # before the next block is allocated
    return best


def coherences(
    atoms: Float[np.ndarray, "n_atoms d_model"],
) -> Float[np.ndarray, " n_atoms"]:
    """Each atom's largest |cosine| with another atom; 0 for a single atom."""
    unit = _unit_rows(atoms)
    best = np.zeros(len(unit), dtype=unit.dtype)
    block = max(1, 2**23 // len(unit))
    for start in range(0, len(unit), block):
        cosines = unit[start : start + block] @ unit.T
        np.abs(cosines, out=cosines)
        rows = np.arange(len(cosines))
        cosines[rows, start + rows] = 0
        best[start : start + block] = cosines.max(axis=1)
        del cosines
    return best


def mean_max_cosine(
    atoms: Float[np.ndarray, "n_atoms d_model"],
    truth: Float[np.ndarray, "n_truth d_model"],
) -> float:
    """MMCS: mean over the atoms of `truth` of the largest |cosine| with an atom of `atoms`."""
    return float(largest_cosines(truth, atoms).mean(dtype=np.float64))


def _unit_rows(vectors: Float[np.ndarray, "n d_model"]) -> Float[np.ndarray, "n d_model"]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1)
