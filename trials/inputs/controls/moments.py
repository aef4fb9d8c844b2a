"""Weighted mean and covariance of rows, and how far a sample of that size is from its own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trials.inputs.preprocessing import weighted_mean_row

_ROUNDING = 1e-7  # float32: directions with less variance than this share are not scaled up


class Moments(NamedTuple):
    """Weighted mean, (d_model,), and covariance, (d_model, d_model), float64."""

    mean: np.ndarray
    covariance: np.ndarray


class Tolerance(NamedTuple):
    """Largest distance of a mean, and of a covariance in Frobenius norm, that counts as kept."""

    mean: float
    covariance: float


def moments(rows: np.ndarray, weights: np.ndarray) -> Moments:
    """Of float32 rows under token weights."""
    mean = weighted_mean_row(rows, weights)
    centred = rows - mean.astype(rows.dtype)
    scatter = centred.T @ (centred * weights[:, None].astype(rows.dtype))
    return Moments(mean, scatter.astype(np.float64) / weights.sum())


def tolerance(of: Moments, weights: np.ndarray) -> Tolerance:
    """Half the root mean square error of as many independent, weighted Gaussian draws."""
    share = float((weights**2).sum() / weights.sum() ** 2)
    trace, size = np.trace(of.covariance), np.linalg.norm(of.covariance)
    return Tolerance(
        0.5 * float(np.sqrt(share * trace)), 0.5 * float(np.sqrt(share * (trace**2 + size**2)))
    )


def principal_axes(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues (ascending, none negative) and eigenvectors (columns)."""
    variances, axes = np.linalg.eigh(covariance)
    return np.maximum(variances, 0.0), axes


def power_of(covariance: np.ndarray, power: float) -> np.ndarray:
    """The symmetric power of a covariance, on the directions that vary beyond rounding."""
    variances, axes = principal_axes(covariance)
    varies = variances > _ROUNDING * variances[-1]
    powers = np.where(varies, np.where(varies, variances, 1.0) ** power, 0.0)
    return np.asarray((axes * powers) @ axes.T)
