"""The positive control: rows that are sparse combinations of features, and otherwise as real ones.

Drawn on raw rows like the nulls, so that both get the same preprocessing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from trials.inputs.controls.moments import Moments, moments, power_of, principal_axes, tolerance

_ROUNDS = 10
_BALANCINGS = 2
_TINY = np.finfo(np.float32).tiny
_FEWEST_USES = 8
"""Rows of a side that must use an atom for its mean coefficient there to be taken away."""


class PlantedSparse(NamedTuple):
    """Rows `mean + codes @ atoms + noise`.

    Attributes:
        rows: float32, (n_tokens, d_model).
        codes: (n_tokens, n_atoms), at most `l0` entries per row.
        atoms: float32, (n_atoms, d_model).
    """

    rows: np.ndarray
    codes: csr_array
    atoms: np.ndarray


def planted_sparse(
    rows: np.ndarray,
    weights: np.ndarray,
    sides: tuple[np.ndarray, ...],
    rng: np.random.Generator,
    *,
    n_atoms: int,
    l0: int,
    noise: float,
) -> PlantedSparse:
    """Rows of `l0` of `n_atoms` features each, with the mean, covariance and lengths of `rows`.

    Features are random directions, each row has `l0` of them with random signs and sizes even
    between 0.5 and 1.5, and Gaussian `noise` is that share of the variance. A linear map of atoms
    and noise gives the weighted covariance, a factor for each row gives its distance from the mean;
    neither changes which atoms a row uses. They alternate until `moments.tolerance` is met. The
    mean coefficient of an atom on a side of the split is 0, so that centring leaves rows sparse.

    Fewer atoms than dimensions cannot have the covariance of the rows. They then span its leading
    principal axes, with all of the variance that is not noise.
    """
    n, d_model = rows.shape
    mean, covariance = moments(rows, weights)
    of_atoms, target = _attainable(covariance, n_atoms, noise)
    mean = mean.astype(np.float32)
    lengths = np.linalg.norm(rows - mean, axis=1).astype(np.float32)
    allowed = tolerance(Moments(mean, target), weights).covariance
    codes = _random_codes(n, n_atoms, min(l0, n_atoms), rng)
    atoms = _atoms(n_atoms, of_atoms, rng)
    # An entry of such codes has mean square 13/12.
    atoms *= np.float32(np.sqrt(12 / 13 / min(l0, n_atoms)))
    root = power_of(noise * covariance, 0.5).astype(np.float32)
    added = rng.standard_normal((n, d_model), dtype=np.float32) @ root
    for _ in range(_ROUNDS):
        added *= np.float32(np.sqrt(noise * np.trace(target) / _energy(added, weights)))
        for _ in range(_BALANCINGS):
            codes = _balanced(codes, weights, sides)
            drawn = np.asarray(codes @ atoms, dtype=np.float32) + added
            factors = lengths / np.maximum(np.linalg.norm(drawn, axis=1), _TINY)
            codes.data *= np.repeat(factors, np.diff(codes.indptr))
            added *= factors[:, None]
        drawn *= factors[:, None]
        now = moments(drawn, weights).covariance
        if np.linalg.norm(now - target) <= allowed:
            break
        to_target = power_of(now, -0.5) @ power_of(target, 0.5)
        atoms = atoms @ to_target.astype(np.float32)
        added = added @ to_target.astype(np.float32)
    return PlantedSparse(drawn + mean, codes, atoms)


def _attainable(
    covariance: np.ndarray, n_atoms: int, noise: float
) -> tuple[np.ndarray, np.ndarray]:
    """The covariance that the atoms give, and the whole with the noise; the trace is kept."""
    variances, axes = principal_axes(covariance)
    variances = np.where(np.arange(len(variances)) >= len(variances) - n_atoms, variances, 0.0)
    variances *= (1 - noise) * np.trace(covariance) / max(variances.sum(), np.finfo(float).tiny)
    of_atoms = (axes * variances) @ axes.T
    return of_atoms, of_atoms + noise * covariance


def _atoms(n_atoms: int, covariance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Random directions whose mean outer product is the covariance."""
    drawn = rng.standard_normal((n_atoms, len(covariance))) @ power_of(covariance, 0.5)
    to_target = power_of(drawn.T @ drawn / n_atoms, -0.5) @ power_of(covariance, 0.5)
    return np.asarray(drawn @ to_target, dtype=np.float32)


def _random_codes(n: int, n_atoms: int, l0: int, rng: np.random.Generator) -> csr_array:
    """`l0` different atoms per row, each set as likely (Floyd's algorithm)."""
    which = np.full((n, l0), -1, dtype=np.int64)
    for place, last in enumerate(range(n_atoms - l0, n_atoms)):
        drawn = rng.integers(0, last + 1, n)
        is_taken = (which[:, :place] == drawn[:, None]).any(axis=1)
        which[:, place] = np.where(is_taken, last, drawn)
    size = rng.uniform(0.5, 1.5, (n, l0)) * rng.choice([-1.0, 1.0], (n, l0))
    starts = np.arange(n + 1) * l0
    codes = csr_array((size.ravel().astype(np.float32), which.ravel(), starts), (n, n_atoms))
    codes.sort_indices()
    return codes


def _energy(rows: np.ndarray, weights: np.ndarray) -> float:
    """Weighted mean squared length, never 0."""
    return float(np.average((rows**2).sum(axis=1), weights=weights)) or 1.0


def _balanced(codes: csr_array, weights: np.ndarray, sides: tuple[np.ndarray, ...]) -> csr_array:
    """The codes less the weighted mean coefficient of each atom over its uses on each side."""
    side_of = np.zeros(codes.shape[0], dtype=np.int64)
    for number, tokens in enumerate(sides):
        side_of[tokens] = number
    row = np.repeat(np.arange(codes.shape[0]), np.diff(codes.indptr))
    cell = side_of[row] * codes.shape[1] + codes.indices
    n_uses = np.bincount(cell)
    total = np.bincount(cell, weights[row])
    mean = np.bincount(cell, weights[row] * codes.data) / np.where(total > 0, total, 1.0)
    mean[n_uses < _FEWEST_USES] = 0
    data = (codes.data - mean[cell]).astype(np.float32)
    return csr_array((data, codes.indices, codes.indptr), codes.shape)
