"""The top tokens of each atom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from trials.inputs.lexicon.labels import LABELLINGS
from trials.inputs.rows import TokenRows
from trials.pursuit.code import Coded

_FEWEST = 3
_N_FREQUENCIES, _ATOMS_PER_STRATUM = 3, 20
"""Number of strata by frequency, and approximate atoms per stratum. Row norm gives the rest."""


class TopTokens(NamedTuple):
    """Atoms that are used by enough tokens, and their top tokens.

    Attributes:
        atoms: positions in the dictionary.
        directions: float32, (n_mapped, d_model).
        tokens: int64, (n_mapped, n_top), positions, strongest first; -1 for none.
        n_tokens: tokens that use each atom.
        log_probability: mean over the top tokens of the natural logarithm.
        strata: int64; atoms whose top tokens have similar norms and frequencies. Top tokens tend to
            have long rows, and norm correlates with script and form, whatever the atom means.
    """

    atoms: np.ndarray
    directions: np.ndarray
    tokens: np.ndarray
    n_tokens: np.ndarray
    log_probability: np.ndarray
    strata: np.ndarray


def top_tokens(data: TokenRows, coded: Coded, n_top: int) -> TopTokens:
    """Tokens by falling |coefficient|, for each atom that at least 3 tokens use."""
    by_atom = coded.codes.tocsc()
    n_tokens = np.diff(by_atom.indptr)
    atoms = np.flatnonzero(n_tokens >= _FEWEST)
    tokens = np.full((len(atoms), n_top), -1, dtype=np.int64)
    for row, atom in enumerate(atoms):
        column = slice(by_atom.indptr[atom], by_atom.indptr[atom + 1])
        strongest = np.argsort(-np.abs(by_atom.data[column]), kind="stable")[:n_top]
        tokens[row, : len(strongest)] = by_atom.indices[column][strongest]
    log_p = _mean_over(tokens, np.log(np.maximum(data.probabilities, np.finfo(float).tiny)))
    length = _mean_over(tokens, np.linalg.norm(data.rows, axis=1))
    n_lengths = max(1, len(atoms) // (_N_FREQUENCIES * _ATOMS_PER_STRATUM))
    strata = _parts(length, n_lengths) * _N_FREQUENCIES + _parts(log_p, _N_FREQUENCIES)
    return TopTokens(atoms, coded.atoms[atoms], tokens, n_tokens[atoms], log_p, strata)


def majority_labels(top: TopTokens, names: Sequence[str], labelling: str) -> np.ndarray:
    """The majority label of each atom's top tokens: 0 for the most common of all, and so on."""
    label = LABELLINGS[labelling]
    most = [
        Counter(str(label(names[t])) for t in tokens if t >= 0).most_common(1)[0][0]
        for tokens in top.tokens
    ]
    common = [value for value, _ in Counter(most).most_common()]
    return np.array([common.index(value) for value in most])


def _mean_over(tokens: np.ndarray, values: np.ndarray) -> np.ndarray:
    there = tokens >= 0
    return np.asarray(np.where(there, values[tokens], 0).sum(axis=1) / there.sum(axis=1))


def _parts(values: np.ndarray, n: int) -> np.ndarray:
    """The index of n equal parts by rising value."""
    return np.argsort(np.argsort(values, kind="stable"), kind="stable") * n // len(values)
