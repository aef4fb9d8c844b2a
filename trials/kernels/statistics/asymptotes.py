"""Does a falling curve end at zero? Fits of several families, and when they cannot decide."""

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
        ending: offset if every accepted form ends above the noise and no form that ends at zero is
            within the noise of the seeds; zero if every accepted form may end at or below what
            counts as none and lies under twice that at the horizon; else not identified.
        fits: every family.
        slope: -d ln error / d ln t over the last decade, the mean over seeds.
        slope_low, slope_high: its 95 % interval over seeds (t distribution).
    """

    ending: Ending
    fits: tuple[Fit, ...]
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
) -> Asymptote:
    """Where positive curves of several seeds end, by every family that fits them.

    Fits are of the mean over seeds of ln error, its noise pooled over the times. A family counts
    if its misfit is within the noise and it predicts the last third of the times from the others.

    Args:
        times: positive, rising.
        errors: positive; rows are replicates.
        noise: errors up to this are noise: an offset must lie above it.
        zero: errors up to this count as zero, for the ending "zero"; `noise` by default.
        horizon: how far beyond the last time "zero" must hold, as a factor.

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
            f, np.asarray(times, float), target, sigma, max_chi2_per_dof, max_prediction, horizon
        )
        for f in FAMILIES
    )
    accepted = [fit for fit in fits if fit.accepted]
    ending: Ending = "not identified"
    none = noise if zero is None else zero
    # A form that ends at zero and fits within the noise may be the true one, however badly a fit of
    # its early part predicts the rest. So it rules out "offset" even if it fails the second gate.
    may_end_at_zero = any(
        fit.chi2_per_dof < max_chi2_per_dof and not family.has_offset
        for fit, family in zip(fits, FAMILIES, strict=True)
    )
    if accepted and not may_end_at_zero and all(fit.low > noise for fit in accepted):
        ending = "offset"
    elif accepted and all(fit.low <= none and fit.at_horizon < 2 * none for fit in accepted):
        ending = "zero"
    return Asymptote(ending, fits, *_slope(np.asarray(times, float), logs))


def _slope(times: np.ndarray, logs: np.ndarray) -> tuple[float, float, float]:
    """-d ln error / d ln t over the last decade by seed: mean and 95 % t interval."""
    late = times >= times[-1] / 10
    if late.sum() < 2:
        late[-2:] = True
    x = np.log(times[late])
    x = x - x.mean()
    slopes = -(logs[:, late] @ x) / (x @ x)
    return mean_interval(slopes)
