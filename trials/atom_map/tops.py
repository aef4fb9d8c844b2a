"""The tokens that stand for each atom."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trials.inputs.rows import TokenRows
from trials.pursuit.code_rows import Coded

_FEWEST = 3


class Tops(NamedTuple):
    """Atoms that enough tokens use.

    Attributes:
        atoms: positions in the dictionary.
        directions: float32, (n_mapped, d_model).
        tokens: int64, (n_mapped, n_top), positions, strongest first; -1 for none.
        n_tokens: tokens that use each atom.
        log_probability: mean over the top tokens of the natural logarithm.
    """

    atoms: np.ndarray
    directions: np.ndarray
    tokens: np.ndarray
    n_tokens: np.ndarray
    log_probability: np.ndarray


def top_tokens(data: TokenRows, coded: Coded, n_top: int) -> Tops:
    """Tokens by falling |coefficient| of each atom that at least 3 tokens use."""
    by_atom = coded.codes.tocsc()
    n_tokens = np.diff(by_atom.indptr)
    atoms = np.flatnonzero(n_tokens >= _FEWEST)
    tokens = np.full((len(atoms), n_top), -1, dtype=np.int64)
    for row, atom in enumerate(atoms):
        column = slice(by_atom.indptr[atom], by_atom.indptr[atom + 1])
        strongest = np.argsort(-np.abs(by_atom.data[column]), kind="stable")[:n_top]
        tokens[row, : len(strongest)] = by_atom.indices[column][strongest]
    log_p = np.where(tokens >= 0, np.log(np.maximum(data.probabilities[tokens], 1e-300)), np.nan)
    return Tops(atoms, coded.atoms[atoms], tokens, n_tokens[atoms], np.nanmean(log_p, axis=1))
