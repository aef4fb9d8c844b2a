"""Rows without features: what a learner finds in them is no evidence of features.

All draws are made on raw rows, before centring and scaling, so that a null gets the same
preprocessing as the real rows.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from trials.inputs.controls.moments import moments, power_of, principal_axes, tolerance
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
    "planted_sparse",
]
"""`null_rows` draws all but three. `initial` replaces the source by the model's own matrix before
training, `random_dictionary` the learned dictionary by a random one. `planted_sparse` is the
positive control (module `planted_sparse`)."""

_ROUNDS = 30


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
    mean, covariance = moments(rows, weights)
    variances, axes = principal_axes(covariance)
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
    matches lengths, and ends with lengths. It stops when mean and covariance are within
    `moments.tolerance`, or after `_ROUNDS`.
    """
    target = moments(rows, weights)
    allowed = tolerance(target, weights)
    lengths = np.linalg.norm(rows - target.mean.astype(np.float32), axis=1, keepdims=True)
    centred = _rescaled(drawn - target.mean.astype(np.float32), lengths)
    for _ in range(_ROUNDS):
        now = moments(centred, weights)
        error = np.linalg.norm(now.covariance - target.covariance)
        if np.linalg.norm(now.mean) <= allowed.mean and error <= allowed.covariance:
            break
        to_target = power_of(now.covariance, -0.5) @ power_of(target.covariance, 0.5)
        centred = (centred - now.mean.astype(np.float32)) @ to_target.astype(np.float32)
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
    mean, covariance = moments(rows, np.ones(len(rows)))
    axes = principal_axes(covariance)[1].astype(np.float32)
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


def _rescaled(centred: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    now = np.linalg.norm(centred, axis=1, keepdims=True)
    scaled: np.ndarray = centred * (lengths / np.maximum(now, np.finfo(np.float32).tiny))
    return scaled.astype(np.float32)
