"""Which atoms of two dictionaries are the same: the nearest of each, and the best pairing."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment


class Nearest(NamedTuple):
    """For each atom, the atom of the other dictionary at the largest |cosine|.

    Attributes:
        atom: its position in the other dictionary.
        cosine: with its sign.
    """

    atom: Int[np.ndarray, " n_atoms"]
    cosine: Float[np.ndarray, " n_atoms"]


class Matching(NamedTuple):
    """How two dictionaries correspond.

    Attributes:
        of_first, of_second: the nearest atom of each atom in the other dictionary.
        first, second: the pairs of the one-to-one matching that has the largest sum of |cosine|;
            as many as the smaller dictionary has atoms, `first` ascending.
        cosine: of each pair, with its sign.
    """

    of_first: Nearest
    of_second: Nearest
    first: Int[np.ndarray, " n_pairs"]
    second: Int[np.ndarray, " n_pairs"]
    cosine: Float[np.ndarray, " n_pairs"]


def match_dictionaries(
    first: Float[np.ndarray, "n_first d_model"],
    second: Float[np.ndarray, "n_second d_second"],
    *,
    nonnegative: bool = False,
) -> Matching:
    """`max_pi sum_j |cos(d_j, d'_pi(j))|` over one-to-one `pi`, and each atom's nearest.

    With `nonnegative` an atom and its opposite are two features, so the signed cosine is used.
    Exact (shortest augmenting paths, Crouse 2016). Time grows as the cube of the size, memory as
    its square: 12 bytes per pair of atoms.

    Raises:
        ValueError: not two finite matrices of the same width without zero rows.
    """
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"first has {first.shape[1]} columns and second has {second.shape[1]}; "
            "only dictionaries of the same width can be compared"
        )
    cosines = _unit_rows("first", first) @ _unit_rows("second", second).T
    scores = cosines if nonnegative else np.abs(cosines)
    rows, columns = linear_sum_assignment(scores, maximize=True)
    near_first, near_second = scores.argmax(axis=1), scores.argmax(axis=0)
    return Matching(
        Nearest(near_first, cosines[np.arange(len(first)), near_first]),
        Nearest(near_second, cosines[near_second, np.arange(len(second))]),
        rows,
        columns,
        cosines[rows, columns],
    )


def _unit_rows(
    name: str, atoms: Float[np.ndarray, "n_atoms d_model"]
) -> Float[np.ndarray, "n_atoms d_model"]:
    norms = np.linalg.norm(atoms, axis=1, keepdims=True)
    if not np.isfinite(norms).all():
        raise ValueError(f"{name} holds NaN or infinity")
    if not norms.all():
        raise ValueError(f"atom {int(np.argmin(norms))} of {name} is zero: it has no direction")
    return atoms / norms
