"""One form of curve on a measured one: its fit, what it predicts, the interval of its end."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares

from trials.kernels.statistics._curve_families import Family

_CHI2_OF_95 = 3.841
_STARTS = 4
_BARRIER = 100.0


class Fit(NamedTuple):
    """A family on a curve.

    Attributes:
        name: of the family.
        chi2_per_dof: over seeds' noise; about 1 where the form is right.
        prediction: root mean square of how far the last third lies from a fit of the first two,
            in standard deviations of both; inf where that fit fails.
        accepted: by both gates.
        end: the value at infinite time; for a form that does not fall in the end, its least value
            over the measured times.
        low, high: 95 % interval of the end, by profile likelihood; 0 and 0 for a form that ends at
            zero.
        at_horizon: the value at the horizon.
        aic: chi2 plus twice the number of parameters.
        ends_at_zero: whether the form does.
    """

    name: str
    chi2_per_dof: float
    prediction: float
    accepted: bool
    end: float
    low: float
    high: float
    at_horizon: float
    aic: float
    ends_at_zero: bool

    def fits(self, max_chi2: float) -> bool:
        """Whether the form is within the noise, whatever it predicts."""
        return self.chi2_per_dof < max_chi2


def fit_family(
    family: Family,
    times: np.ndarray,
    target: np.ndarray,
    sigma: float,
    max_chi2: float,
    max_prediction: float,
    horizon: float,
    least_slope: float,
) -> Fit:
    """The family on the mean logarithm `target`, whose standard error is `sigma`, at the times.

    A form that ends at zero must fall by at least `least_slope`, -d ln error / d ln t over the last
    decade of the times. One that falls and then rises must be lowest within them.

    It is accepted where its chi2 per degree of freedom and its misfit to the last third, predicted
    from the rest, are below `max_chi2` and `max_prediction`.
    """
    n_parameters = family.starts.shape[1]
    found, chi2 = _best(family, times, target, sigma, least_slope)
    chi2_per_dof = chi2 / max(1, len(times) - n_parameters)
    prediction = _prediction(family, times, target, sigma, least_slope)
    accepted = chi2_per_dof < max_chi2 and prediction < max_prediction
    end = low = high = 0.0
    if family.has_offset:
        end = float(np.exp(found[0]))
        if chi2_per_dof < max_chi2:
            low, high = _profile(family, times, target, sigma, found, chi2)
    elif not family.ends_at_zero:
        end = float(family.curve(found, times).min())
        half = np.sqrt(_CHI2_OF_95) * sigma  # of one time: the fit knows the least value better
        low, high = float(end * np.exp(-half)), float(end * np.exp(half))
    at_horizon = float(family.curve(found, np.array([times[-1] * horizon]))[0])
    aic = chi2 + 2 * n_parameters
    return Fit(
        family.name,
        chi2_per_dof,
        prediction,
        accepted,
        end,
        low,
        high,
        at_horizon,
        aic,
        family.ends_at_zero,
    )


def _residuals(
    family: Family, times: np.ndarray, target: np.ndarray, sigma: float, held: float | None = None
) -> Callable[[np.ndarray], np.ndarray]:
    def residuals(free: np.ndarray) -> np.ndarray:
        parameters = free if held is None else np.concatenate([[held], free])
        with np.errstate(all="ignore"):
            away = (_log_curve(family, parameters, times) - target) / sigma
        return np.nan_to_num(away, nan=1e6, posinf=1e6, neginf=-1e6)

    return residuals


def _held_to_its_form(
    family: Family,
    residuals: Callable[[np.ndarray], np.ndarray],
    times: np.ndarray,
    least_slope: float,
) -> Callable[[np.ndarray], np.ndarray]:
    """`residuals`, and one more that is 0 where the curve has the shape that its name says."""
    ends = np.array([times[-1] / 10, times[-1]])

    def held(parameters: np.ndarray) -> np.ndarray:
        broken = 0.0
        with np.errstate(all="ignore"):
            if family.ends_at_zero:
                slope = -np.diff(_log_curve(family, parameters, ends))[0] / np.log(10)
                broken = max(0.0, 1 - slope / least_slope)
            elif family.name == "fall, then rise":
                broken = max(
                    0.0, parameters[2] - np.log(times[-1]), np.log(times[0]) - parameters[2]
                )
        return np.append(residuals(parameters), np.nan_to_num(_BARRIER * broken, nan=1e6))

    return held


def _log_curve(family: Family, parameters: np.ndarray, times: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(np.maximum(family.curve(parameters, times), 1e-300)))


def _best(
    family: Family, times: np.ndarray, target: np.ndarray, sigma: float, least_slope: float
) -> tuple[np.ndarray, float]:
    """The best of fits from several starts, and its chi2."""
    residuals = _held_to_its_form(
        family, _residuals(family, times, target, sigma), times, least_slope
    )
    starts = family.starts.copy()
    starts[:, 1 if family.has_offset else 0] += target[0]
    costs = [float((residuals(start) ** 2).sum()) for start in starts]
    best, least = starts[0], np.inf
    for which in np.argsort(costs, kind="stable")[:_STARTS]:
        fit = least_squares(residuals, starts[which], bounds=(-30, 30), max_nfev=200)
        if 2 * fit.cost < least:
            best, least = fit.x, 2 * fit.cost
    return np.asarray(best), float(least)


def _prediction(
    family: Family, times: np.ndarray, target: np.ndarray, sigma: float, least_slope: float
) -> float:
    """Misfit of the last third to a fit of the rest, the fit's own uncertainty allowed for."""
    n = len(times) - len(times) // 3
    if n <= family.starts.shape[1]:
        return float("inf")
    found, _ = _best(family, times[:n], target[:n], sigma, least_slope)
    seen = least_squares(
        _residuals(family, times[:n], target[:n], sigma), found, bounds=(-30, 30), max_nfev=5
    )
    later = _residuals(family, times[n:], target[n:], sigma)
    step = 1e-5
    slopes = np.stack(
        [
            (later(seen.x + step * e) - later(seen.x - step * e)) / (2 * step)
            for e in np.eye(len(seen.x))
        ],
        axis=1,
    )
    jacobian = np.asarray(seen.jac)
    covariance = np.linalg.pinv(jacobian.T @ jacobian, rcond=1e-10)
    variance = 1 + np.einsum("ij,jk,ik->i", slopes, covariance, slopes)
    return float(np.sqrt((later(seen.x) ** 2 / np.maximum(variance, 1)).mean()))


def _profile(
    family: Family,
    times: np.ndarray,
    target: np.ndarray,
    sigma: float,
    found: np.ndarray,
    chi2: float,
) -> tuple[float, float]:
    """The offsets at which the best fit is worse by the 95 % quantile of chi2 with one degree."""

    def excess(offset: float, start: np.ndarray) -> tuple[float, np.ndarray]:
        held = _residuals(family, times, target, sigma, held=float(np.log(offset)))
        fits = [least_squares(held, s, bounds=(-30, 30), max_nfev=100) for s in (start, found[1:])]
        fit = min(fits, key=lambda f: f.cost)
        return 2 * float(fit.cost) - chi2 - _CHI2_OF_95, fit.x

    best = float(np.exp(found[0]))
    top = float(np.exp(target.min()))
    ends = []
    for limit in (1e-6 * top, 1.5 * top):
        inside, outside, start = best, limit, found[1:]
        if excess(outside, start)[0] <= 0:
            ends.append(0.0 if limit < best else limit)
            continue
        for _ in range(12):
            middle = float(np.sqrt(inside * outside))
            worse, x = excess(middle, start)
            if worse > 0:
                outside = middle
            else:
                inside, start = middle, x
        ends.append(float(np.sqrt(inside * outside)))
    return min(ends), max(ends)
