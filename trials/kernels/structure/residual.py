"""Residuals of sparse codes: their shape, and what predicts them."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

_SPLITS = 8
_ALPHAS = np.logspace(-4, 3, 15)


class Predicted(NamedTuple):
    """How much of some values a linear map of the signals predicts on rows it has not seen.

    Attributes:
        r2_validation, r2_held_out: 1 - sum |y - yhat|^2 / sum |y - mean of training y|^2.
        alpha: the ridge penalty, over the mean variance of the signals; chosen on validation rows.
    """

    r2_validation: float
    r2_held_out: float
    alpha: float


def participation_ratio(
    rows: Float[np.ndarray, "n_rows d_model"], rng: np.random.Generator
) -> float:
    """`tr(C)^2 / tr(C^2)`, C the covariance: the number of dimensions that the rows fill evenly.

    With fewer rows than dimensions the sample covariance is far from the true one; so numerator
    and denominator are estimated from two halves of the rows, `tr(C1) tr(C2) / tr(C1 C2)`, the
    mean over some halvings. NaN where nothing varies.
    """
    numerator = denominator = 0.0
    for _ in range(_SPLITS):
        order = rng.permutation(len(rows))
        halves = []
        for part in (order[::2], order[1::2]):
            half = rows[part].astype(np.float64)
            half -= half.mean(axis=0)
            halves.append(half.T @ half / max(1, len(half) - 1))
        first, second = halves
        numerator += float(np.trace(first) * np.trace(second))
        denominator += float((first * second).sum())
    return numerator / denominator if denominator > 0 else float("nan")


def leading_subspace(
    rows: Float[np.ndarray, "n_rows d_model"], n_dimensions: int
) -> Float[np.ndarray, "d_model n_dimensions"]:
    """Orthonormal directions of the largest variance of the rows, as columns."""
    centred = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    return np.asarray(np.linalg.eigh(centred.T @ centred)[1][:, -n_dimensions:])


def subspace_overlap(
    first: Float[np.ndarray, "d_model n_first"], second: Float[np.ndarray, "d_model n_second"]
) -> float:
    """Mean squared cosine of the principal angles between two subspaces of one dimension q.

    1 if they are equal, q / d_model for random ones.
    """
    return float((np.linalg.norm(first.T @ second) ** 2) / first.shape[1])


def linear_predictability(
    signals: tuple[np.ndarray, np.ndarray, np.ndarray],
    values: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> Predicted:
    """Ridge `min_W |Y - X W|^2 + alpha |W|^2` with an intercept, fitted on the first side.

    Args:
        signals: (n, d_model) of training, validation and held-out rows.
        values: (n, k) of the same.
    """
    x, y = (np.asarray(of[0], dtype=np.float64) for of in (signals, values))
    x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
    variances, axes = np.linalg.eigh((x - x_mean).T @ (x - x_mean))
    along = axes.T @ ((x - x_mean).T @ (y - y_mean))
    scale = max(float(variances.mean()), np.finfo(np.float64).tiny)

    def r2(side: int, alpha: float) -> float:
        weights = axes @ (along / (np.maximum(variances, 0) + alpha * scale)[:, None])
        truth = np.asarray(values[side], dtype=np.float64) - y_mean
        guess = (np.asarray(signals[side], dtype=np.float64) - x_mean) @ weights
        total = float((truth**2).sum())
        return 1 - float(((truth - guess) ** 2).sum()) / total if total > 0 else float("nan")

    scores = [r2(1, alpha) for alpha in _ALPHAS]
    best = int(np.nanargmax(scores)) if not np.isnan(scores).all() else 0
    return Predicted(scores[best], r2(2, _ALPHAS[best]), float(_ALPHAS[best]))
