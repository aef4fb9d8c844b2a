"""Does a curve end at zero? Fits of several forms, and when they cannot decide."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from trials.kernels.statistics._curve_families import FAMILIES
from trials.kernels.statistics._curve_fits import Fit, fit_family
from trials.kernels.statistics.paired_gap import mean_interval

Ending = Literal["offset", "zero", "not identified"]


class Asymptote(NamedTuple):
    """The verdict of all families together.

    Attributes:
        ending: offset if a form that stays above zero is within the noise of the seeds, is better
            than every form that ends at zero by `margin`, and ends above the noise; or if the curve
            rises over the last decade, whatever its form, and no form that ends at zero fits. Zero
            if every accepted form may end at or below what counts as none and is under twice that
            at the horizon. Else not identified.
        fits: every family.
        best: the name of the form with the least AIC.
        slope: -d ln error / d ln t over the last decade, the mean over seeds.
        slope_low, slope_high: its 95 % interval over seeds (t distribution).
    """

    ending: Ending
    fits: tuple[Fit, ...]
    best: str
    slope: float
    slope_low: float
    slope_high: float


def asymptote(
    times: Float[np.ndarray, " n_times"],
    errors: Float[np.ndarray, "n_seeds n_times"],
    *,
    noise: float,
    zero: float | None = None,
    max_chi2_per_dof: float = 2.0,
    max_prediction: float = 2.0,
    horizon: float = 10.0,
    least_slope: float = 0.03,
    margin: float = 6.0,
) -> Asymptote:
    """Where positive curves of several seeds end, by every form that fits them.

    Fits are of the mean over seeds of ln error, its noise pooled over the times. A form is accepted
    if its misfit is within the noise and it predicts the last third of the times from the others.

    Args:
        times: positive, rising.
        errors: positive; rows are replicates.
        noise: errors up to this are noise: an offset must lie above it.
        zero: errors up to this count as zero, for the ending "zero"; `noise` by default.
        horizon: how far beyond the last time "zero" must hold, as a factor.
        least_slope: what counts as falling, -d ln error / d ln t over the last decade. At 0.03 an
            error takes 10^10 times as long to halve: flatter is a plateau, for every purpose.
        margin: how much lower the AIC of a form above zero must be than that of each form that
            ends at zero. From planted curves: see `benchmarks.calibration`.

    Raises:
        ValueError: fewer than 2 seeds or 8 times, or values that are not positive.
    """
    errors = np.asarray(errors, dtype=np.float64)
    if errors.ndim != 2 or errors.shape[0] < 2 or errors.shape[1] < 8:
        raise ValueError(f"errors are {errors.shape}; at least 2 seeds and 8 times are needed")
    if not ((errors > 0).all() and (np.asarray(times) > 0).all()):
        raise ValueError("times and errors must be positive")
    logs = np.log(errors)
    target = logs.mean(axis=0)
    spread = float(np.sqrt(logs.var(axis=0, ddof=1).mean() / len(errors)))
    sigma = max(spread, 1e-6)
    fits = tuple(
        fit_family(
            f,
            np.asarray(times, float),
            target,
            sigma,
            max_chi2_per_dof,
            max_prediction,
            horizon,
            least_slope,
        )
        for f in FAMILIES
    )
    accepted = [fit for fit in fits if fit.accepted]
    ending: Ending = "not identified"
    none = noise if zero is None else zero
    above = [fit for fit in fits if not fit.ends_at_zero and fit.fits(max_chi2_per_dof)]
    best_above = min(above, key=lambda fit: fit.aic, default=None)
    # A form that ends at zero is not ruled out by its own misfit: none of them may be exact. What
    # counts is how much better the best form above zero is.
    best_zero = min(fit.aic for fit in fits if fit.ends_at_zero)
    slope = _slope(np.asarray(times, float), logs)
    zero_fits = any(fit.ends_at_zero and fit.fits(max_chi2_per_dof) for fit in fits)
    rises = slope[2] < 0 and not zero_fits and float(errors.mean(axis=0).min()) > noise
    stays = best_above and best_zero - best_above.aic > margin and best_above.low > noise
    if stays or rises:
        ending = "offset"
    elif accepted and all(fit.low <= none and fit.at_horizon < 2 * none for fit in accepted):
        ending = "zero"
    best = min(fits, key=lambda fit: fit.aic).name
    return Asymptote(ending, fits, best, *slope)


def _slope(times: np.ndarray, logs: np.ndarray) -> tuple[float, float, float]:
    """-d ln error / d ln t over the last decade by seed: mean and 95 % t interval."""
    late = times >= times[-1] / 10
    if late.sum() < 2:
        late[-2:] = True
    x = np.log(times[late])
    x = x - x.mean()
    slopes = -(logs[:, late] @ x) / (x @ x)
    return mean_interval(slopes)
