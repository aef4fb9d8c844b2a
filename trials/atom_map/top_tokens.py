"""The tokens that stand for each atom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from trials.inputs.lexicon.labels import LABELLINGS
from trials.inputs.rows import TokenRows
from trials.pursuit.code import Coded

_FEWEST = 3
_FREQUENCIES, _A_STRATUM = 3, 20
"""Parts by frequency; atoms of a stratum, about. The rest of the parts is by length."""


class Tops(NamedTuple):
    """Atoms that enough tokens use.

    Attributes:
        atoms: positions in the dictionary.
        directions: float32, (n_mapped, d_model).
        tokens: int64, (n_mapped, n_top), positions, strongest first; -1 for none.
        n_tokens: tokens that use each atom.
        log_probability: mean over the top tokens of the natural logarithm.
        strata: int64; atoms whose top tokens are as long and as frequent. The top tokens of an atom
            are mostly long rows, and length goes with script and form, whatever the atom means.
    """

    atoms: np.ndarray
    directions: np.ndarray
    tokens: np.ndarray
    n_tokens: np.ndarray
    log_probability: np.ndarray
    strata: np.ndarray


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
    log_p = _mean_over(tokens, np.log(np.maximum(data.probabilities, np.finfo(float).tiny)))
    length = _mean_over(tokens, np.linalg.norm(data.rows, axis=1))
    n_lengths = max(1, len(atoms) // (_FREQUENCIES * _A_STRATUM))
    strata = _parts(length, n_lengths) * _FREQUENCIES + _parts(log_p, _FREQUENCIES)
    return Tops(atoms, coded.atoms[atoms], tokens, n_tokens[atoms], log_p, strata)


def majority_labels(tops: Tops, names: Sequence[str], labelling: str) -> np.ndarray:
    """The label that most top tokens of each atom have: 0 for the commonest of all, then rising."""
    label = LABELLINGS[labelling]
    most = [
        Counter(str(label(names[t])) for t in tokens if t >= 0).most_common(1)[0][0]
        for tokens in tops.tokens
    ]
    common = [value for value, _ in Counter(most).most_common()]
    return np.array([common.index(value) for value in most])


def _mean_over(tokens: np.ndarray, values: np.ndarray) -> np.ndarray:
    there = tokens >= 0
    return np.asarray(np.where(there, values[tokens], 0).sum(axis=1) / there.sum(axis=1))


def _parts(values: np.ndarray, n: int) -> np.ndarray:
    """0 for the least of n equal parts, n - 1 for the greatest."""
    return np.argsort(np.argsort(values, kind="stable"), kind="stable") * n // len(values)
