"""Rows made from a known dictionary, to hold a learner against the truth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Planted(NamedTuple):
    """Sparse rows and what they were made from.

    Attributes:
        rows: float32, (n_tokens, d_model); mean squared norm 1 before noise.
        atoms: float32, (n_atoms, d_model), unit rows.
    """

    rows: np.ndarray
    atoms: np.ndarray


def planted_rows(
    n_tokens: int,
    d_model: int,
    *,
    n_atoms: int,
    sparsity: int,
    snr_db: float,
    rng: np.random.Generator,
) -> Planted:
    """Each row a sum of `sparsity` random unit atoms with Gaussian coefficients, plus white noise.

    `snr_db` is ten times the decimal logarithm of signal energy over noise energy.
    """
    atoms = rng.standard_normal((n_atoms, d_model))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    which = rng.random((n_tokens, n_atoms)).argpartition(sparsity, axis=1)[:, :sparsity]
    size = rng.standard_normal((n_tokens, sparsity)) / np.sqrt(sparsity)
    signals = np.einsum("is,isd->id", size, atoms[which])
    noise = rng.standard_normal(signals.shape) * np.sqrt(10 ** (-snr_db / 10) / d_model)
    return Planted((signals + noise).astype(np.float32), atoms.astype(np.float32))
