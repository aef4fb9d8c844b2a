"""Centring and scaling of rows, fitted on training rows only."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from trials.api import TrialError

Centre = Literal["none", "mean"]
Scale = Literal["none", "mean_norm", "unit_rows"]


class Preprocessed(NamedTuple):
    """Rows as the learner sees them.

    Attributes:
        rows: float32, (n_tokens, d_model): (raw - offset) / divisor.
        offset: float64, (d_model,).
        divisor: float64, (n_tokens,); all equal unless every row is scaled by its own norm.
    """

    rows: np.ndarray
    offset: np.ndarray
    divisor: np.ndarray


def preprocess(
    rows: np.ndarray, train: np.ndarray, weights: np.ndarray, *, centre: Centre, scale: Scale
) -> Preprocessed:
    """Subtract the weighted mean of the training rows, then scale.

    `mean_norm` divides all rows by the weighted mean norm of the training rows, `unit_rows` each
    by its own norm (a zero row stays zero). Raises TrialError if all training rows are equal:
    nothing would be left to code.
    """
    offset = np.zeros(rows.shape[1])
    if centre == "mean":
        offset = weighted_mean_row(rows[train], weights[train])
    moved = (rows - offset).astype(np.float32)
    norms = np.linalg.norm(moved.astype(np.float64), axis=1)
    if not norms[train].max() > 1e-6 * np.linalg.norm(offset):
        raise TrialError("the training rows are all equal: there is nothing to code")
    divisor = np.ones(len(rows))
    if scale == "mean_norm":
        divisor *= np.average(norms[train], weights=weights[train])
    elif scale == "unit_rows":
        divisor = np.where(norms > 0, norms, 1.0)
    return Preprocessed((moved / divisor[:, None]).astype(np.float32), offset, divisor)


def weighted_mean_row(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """sum_i w_i x_i / sum_i w_i, float64, (d_model,)."""
    total = np.zeros(rows.shape[1])
    for start in range(0, len(rows), 8192):
        block = slice(start, start + 8192)
        total += weights[block] @ rows[block].astype(np.float64)
    return total / weights.sum()
