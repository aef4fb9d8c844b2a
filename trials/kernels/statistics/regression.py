"""Least squares in standard units: what predicts a value, with intervals over rows."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Regression(NamedTuple):
    """A fit of `target` by `predictors`, each about its mean and over its standard deviation.

    Attributes:
        coefficients: standard deviations of the target for one of the predictor, the others held;
            NaN for a predictor that does not vary.
        low, high: percentile bootstrap interval of each, rows resampled.
        r2: 1 - residual sum of squares over total sum of squares, on the rows of the fit.
    """

    coefficients: Float[np.ndarray, " n_predictors"]
    low: Float[np.ndarray, " n_predictors"]
    high: Float[np.ndarray, " n_predictors"]
    r2: float


def standardised_regression(
    target: Float[np.ndarray, " n_rows"],
    predictors: Float[np.ndarray, "n_rows n_predictors"],
    *,
    level: float = 0.95,
    n_draws: int = 2000,
    rng: np.random.Generator,
) -> Regression:
    """`min_b |z(y) - z(X) b|^2`, z: minus the mean, over the standard deviation; in float64.

    Each resample is standardised again: its mean and deviation are as uncertain as its slope. If
    predictors are linearly dependent, b is the shortest solution. All NaN where the target does
    not vary.

    Raises:
        ValueError: fewer than 2 rows more than predictors, other numbers of rows, or a value that
            is not finite.
    """
    y, x = np.asarray(target, dtype=np.float64), np.asarray(predictors, dtype=np.float64)
    if y.ndim != 1 or x.ndim != 2 or len(x) != len(y) or len(y) < x.shape[1] + 2:
        raise ValueError(
            f"target is {y.shape} and predictors {x.shape}; (n,) and (n, k) with n >= k + 2 needed"
        )
    if not (np.isfinite(y).all() and np.isfinite(x).all()):
        raise ValueError("target and predictors must be finite")
    varies = np.ptp(x, axis=0) > 0  # a deviation of equal values may round to more than 0
    if not np.ptp(y):
        varies[:] = False
    n, x = len(y), x[:, varies]
    scaled_y, scaled_x = _standardised(y), _standardised(x)
    fit = _least_squares(scaled_y, scaled_x)
    left, total = float(((scaled_y - scaled_x @ fit) ** 2).sum()), float((scaled_y**2).sum())
    draws = np.empty((n_draws, len(fit)))
    for draw in draws:
        rows = rng.integers(n, size=n)
        draw[:] = _least_squares(_standardised(y[rows]), _standardised(x[rows]))
    ends = np.quantile(draws, [0.5 - level / 2, 0.5 + level / 2], axis=0)
    found = np.full((3, len(varies)), np.nan)
    found[:, varies] = np.stack([fit, *ends])
    coefficients, low, high = found
    return Regression(coefficients, low, high, 1 - left / total if total > 0 else float("nan"))


def _standardised(values: np.ndarray) -> np.ndarray:
    """About the mean, over the standard deviation; 0 where nothing varies."""
    centred = values - values.mean(axis=0)
    varies = np.ptp(values, axis=0) > 0
    return np.divide(centred, centred.std(axis=0), out=np.zeros_like(centred), where=varies)


def _least_squares(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.lstsq(x, y, rcond=None)[0])
