"""Rows without features: what a learner finds in them is no evidence of features.

All draws are made on raw rows, before centring and scaling, so that a null gets the same
preprocessing as the real rows.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from trials.inputs.preprocessing import weighted_mean_row
from trials.inputs.splits import frequency_deciles

Null = Literal[
    "none",
    "gaussian_spectrum",
    "gaussian_spectrum_norms",
    "gaussian_deciles",
    "shuffled_pca",
    "row_permuted",
    "initial",
    "random_dictionary",
]
"""`initial` and `random_dictionary` do not change the given rows: the first replaces the source by
the model's own matrix before training, the second the learned dictionary by a random one."""

_ROUNDS = 30
_ROUNDING = 1e-7  # float32: directions with less variance than this share are not scaled up


def null_rows(
    kind: Null,
    rows: np.ndarray,
    weights: np.ndarray,
    probabilities: np.ndarray,
    sides: tuple[np.ndarray, ...],
    rng: np.random.Generator,
) -> np.ndarray:
    """The row of each token under the null `kind`, (n_tokens, d_model) float32.

    `weights` are the token weights under which mean and covariance are matched, since the learner
    sees the rows under them; `probabilities` rank the tokens by frequency; `sides` are the
    positions of train, validation and held-out tokens.
    """
    if kind == "gaussian_spectrum":
        return gaussian_spectrum(rows, weights, rng)
    if kind == "gaussian_spectrum_norms":
        return gaussian_spectrum_norms(rows, weights, rng)
    if kind == "gaussian_deciles":
        return gaussian_deciles(rows, weights, probabilities, rng)
    if kind == "shuffled_pca":
        return shuffled_pca(rows, rng)
    if kind == "row_permuted":
        return row_permuted(rows, sides, rng)
    return rows


def gaussian_spectrum(
    rows: np.ndarray, weights: np.ndarray, rng: np.random.Generator, *, n_rows: int | None = None
) -> np.ndarray:
    """Independent Gaussian rows with the weighted mean and covariance of the real rows.

    As many as there are real ones, unless `n_rows` says otherwise.
    """
    mean = weighted_mean_row(rows, weights)
    variances, axes = _principal_axes(rows, weights)
    shape = (len(rows) if n_rows is None else n_rows, rows.shape[1])
    draw = rng.standard_normal(shape, dtype=np.float32)
    root = (axes * np.sqrt(variances)) @ axes.T
    return draw @ root.astype(np.float32) + mean.astype(np.float32)


def gaussian_spectrum_norms(
    rows: np.ndarray, weights: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """`gaussian_spectrum`, with each row as far from the mean as the real row is.

    Giving the rows those lengths changes their covariance, so the two are matched in turn until
    `match_moments` finds the covariance within what a Gaussian sample of that size is off by.
    """
    return match_moments(gaussian_spectrum(rows, weights, rng), rows, weights)


def match_moments(drawn: np.ndarray, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`drawn` with the weighted mean and covariance of `rows`, and each row's distance from it.

    Alternates a linear map, which matches mean and covariance, with rescaling each row, which
    matches lengths, and ends with lengths. It stops when mean and covariance are off by at most
    half the root mean square error of as many weighted Gaussian draws, or after `_ROUNDS`.
    """
    target = _moments(rows, weights)
    lengths = np.linalg.norm(rows - target.mean.astype(np.float32), axis=1, keepdims=True)
    share = float((weights**2).sum() / weights.sum() ** 2)
    trace, size = np.trace(target.covariance), np.linalg.norm(target.covariance)
    allowed = 0.5 * np.sqrt(share * (trace**2 + size**2))
    centred = _rescaled(drawn - target.mean.astype(np.float32), lengths)
    for _ in range(_ROUNDS):
        now = _moments(centred, weights)
        mean_is_close = np.linalg.norm(now.mean) <= 0.5 * np.sqrt(share * trace)
        if mean_is_close and np.linalg.norm(now.covariance - target.covariance) <= allowed:
            break
        to_target = _root(target.covariance) @ _root(now.covariance, -0.5)
        centred = (centred - now.mean.astype(np.float32)) @ to_target.T.astype(np.float32)
        centred = _rescaled(centred, lengths)
    return centred + target.mean.astype(np.float32)


def gaussian_deciles(
    rows: np.ndarray, weights: np.ndarray, probabilities: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """`gaussian_spectrum_norms` within each tenth of the tokens by frequency.

    Keeps the effect of frequency on the rows' mean, covariance and distance from the mean, and
    nothing else. If a tenth has fewer tokens than dimensions, its rows stay within the span of the
    real ones.
    """
    drawn = np.empty_like(rows, dtype=np.float32)
    deciles = frequency_deciles(probabilities)
    for decile in np.unique(deciles):
        tokens = np.flatnonzero(deciles == decile)
        drawn[tokens] = gaussian_spectrum_norms(rows[tokens], weights[tokens], rng)
    return drawn


def shuffled_pca(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The real rows' principal components, each shuffled over the tokens independently.

    Keeps every component's marginal distribution, and the unweighted mean and covariance, and
    destroys all dependence between components.
    """
    equal = np.ones(len(rows))
    mean = weighted_mean_row(rows, equal)
    _, axes = _principal_axes(rows, equal)
    axes = axes.astype(np.float32)
    components = (rows - mean.astype(np.float32)) @ axes
    return rng.permuted(components, axis=0) @ axes.T + mean.astype(np.float32)


def row_permuted(
    rows: np.ndarray, sides: tuple[np.ndarray, ...], rng: np.random.Generator
) -> np.ndarray:
    """The same rows given to other tokens of the same side of the split.

    Permuting within a side changes only which row has which token weight.
    """
    permuted = rows.copy()
    for side in sides:
        permuted[side] = rows[rng.permutation(side)]
    return permuted


class _Moments(NamedTuple):
    """Weighted mean, (d_model,), and covariance, (d_model, d_model), float64."""

    mean: np.ndarray
    covariance: np.ndarray


def _moments(rows: np.ndarray, weights: np.ndarray) -> _Moments:
    mean = weighted_mean_row(rows, weights)
    centred = rows - mean.astype(rows.dtype)
    scatter = centred.T @ (centred * weights[:, None].astype(rows.dtype))
    return _Moments(mean, scatter.astype(np.float64) / weights.sum())


def _principal_axes(rows: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues (ascending, none negative) and eigenvectors (columns) of the covariance."""
    variances, axes = np.linalg.eigh(_moments(rows, weights).covariance)
    return np.maximum(variances, 0.0), axes


def _root(covariance: np.ndarray, power: float = 0.5) -> np.ndarray:
    """The symmetric power of a covariance, on the directions that vary beyond rounding."""
    variances, axes = np.linalg.eigh(covariance)
    varies = variances > _ROUNDING * variances[-1]
    powers = np.where(varies, np.where(varies, variances, 1.0) ** power, 0.0)
    return np.asarray((axes * powers) @ axes.T)


def _rescaled(centred: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    now = np.linalg.norm(centred, axis=1, keepdims=True)
    scaled: np.ndarray = centred * (lengths / np.maximum(now, np.finfo(np.float32).tiny))
    return scaled.astype(np.float32)
