"""Does a falling curve end at zero? Fits of several families, and when none can tell."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import least_squares

Ending = Literal["offset", "zero", "not identified"]
Curve = Callable[[np.ndarray, np.ndarray], np.ndarray]

_CHI2_OF_95 = 3.841
_STARTS = 4
_LEAST_SLOPE = 0.02
"""A broken power law whose last slope is flatter than this is an offset by another name."""


class Family(NamedTuple):
    """A form of curve, positive for all parameters.

    Attributes:
        name: as it is written.
        curve: `curve(parameters, t)`; the first parameter is ln E where there is an offset E.
        has_offset: whether the curve ends at E > 0; the others end at zero.
        starts: (n, n_parameters), where fits begin, for t and errors of order one.
    """

    name: str
    curve: Curve
    has_offset: bool
    starts: np.ndarray


class Fit(NamedTuple):
    """A family on a curve.

    Attributes:
        name: of the family.
        chi2_per_dof: over seeds' noise; about 1 where the form is right.
        prediction: root mean square of how far the last third lies from a fit of the first two,
            in standard deviations of both; inf where that fit fails.
        accepted: by both gates.
        end: the value at infinite time.
        low, high: 95 % interval of the end, by profile likelihood; 0 and 0 for a form without end.
        at_horizon: the value at the horizon.
    """

    name: str
    chi2_per_dof: float
    prediction: float
    accepted: bool
    end: float
    low: float
    high: float
    at_horizon: float


class Asymptote(NamedTuple):
    """What the families say together.

    Attributes:
        ending: offset if every accepted form ends above the noise and no form that ends at zero is
            within the noise of the seeds; zero if every accepted form may
            end at or below it and lies under twice the noise at the horizon; else not identified.
        fits: every family.
        slope: -d ln error / d ln t over the last decade, the mean over seeds.
        slope_low, slope_high: its 95 % interval over seeds (t distribution).
    """

    ending: Ending
    fits: tuple[Fit, ...]
    slope: float
    slope_low: float
    slope_high: float


def _power(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(p[0] - np.exp(p[1]) * np.log(t + np.exp(p[2]))))


def _offset_power(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(p[0]) + _power(p[1:], t))


def _logarithmic(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(p[0]) / (1 + np.exp(p[1]) * np.log1p(t)))


def _offset_exponential(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(p[0]) + np.exp(p[1] - t * np.exp(p[2])))


def _broken_power(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Slope b before the break at exp(p[3]), and after it a last slope of at least the least."""
    early, late = np.exp(p[1]), _LEAST_SLOPE + np.exp(p[2])
    bend = np.logaddexp(0, np.log(t) - p[3])
    return np.asarray(np.exp(p[0] - early * np.log(t) - (late - early) * bend))


def _grid(*axes: tuple[float, ...]) -> np.ndarray:
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


FAMILIES = (
    Family(
        "E + A (t + t0)^-b",
        _offset_power,
        True,
        _grid((-3.0,), (0.0, 2.0), (-1.5, 0.0), (0.0, 3.0)),
    ),
    Family("A (t + t0)^-b", _power, False, _grid((0.0, 2.0), (-2.0, -0.5), (0.0, 3.0))),
    Family("A / (1 + c ln(1 + t))", _logarithmic, False, _grid((0.0,), (-2.0, 0.0))),
    Family(
        "E + A exp(-t / tau)", _offset_exponential, True, _grid((-2.0,), (0.0,), (-9.0, -6.0, -3.0))
    ),
    Family(
        "broken power",
        _broken_power,
        False,
        _grid((0.0, 1.0), (-1.0, 0.0), (-2.0, -0.5), (2.0, 6.0)),
    ),
)


def asymptote(
    times: Float[np.ndarray, " n_times"],
    errors: Float[np.ndarray, "n_seeds n_times"],
    *,
    noise: float,
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
        noise: the error that is no more than noise.
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
        _fit_family(
            f, np.asarray(times, float), target, sigma, max_chi2_per_dof, max_prediction, horizon
        )
        for f in FAMILIES
    )
    accepted = [fit for fit in fits if fit.accepted]
    ending: Ending = "not identified"
    # A form that ends at zero and is within the noise may be the true one, however badly a fit of
    # its early part predicts the rest: it forbids "offset" also where the second gate shuts it out.
    may_end_at_zero = any(
        fit.chi2_per_dof < max_chi2_per_dof and not family.has_offset
        for fit, family in zip(fits, FAMILIES, strict=True)
    )
    if accepted and not may_end_at_zero and all(fit.low > noise for fit in accepted):
        ending = "offset"
    elif accepted and all(fit.low <= noise and fit.at_horizon < 2 * noise for fit in accepted):
        ending = "zero"
    return Asymptote(ending, fits, *_slope(np.asarray(times, float), logs))


def _fit_family(
    family: Family,
    times: np.ndarray,
    target: np.ndarray,
    sigma: float,
    max_chi2: float,
    max_prediction: float,
    horizon: float,
) -> Fit:
    n_parameters = family.starts.shape[1]
    found, chi2 = _best(family, times, target, sigma)
    chi2_per_dof = chi2 / max(1, len(times) - n_parameters)
    prediction = _prediction(family, times, target, sigma)
    end = float(np.exp(found[0])) if family.has_offset else 0.0
    low = high = 0.0
    accepted = chi2_per_dof < max_chi2 and prediction < max_prediction
    if family.has_offset and accepted:
        low, high = _profile(family, times, target, sigma, found, chi2)
    at_horizon = float(family.curve(found, np.array([times[-1] * horizon]))[0])
    return Fit(family.name, chi2_per_dof, prediction, accepted, end, low, high, at_horizon)


def _residuals(
    family: Family, times: np.ndarray, target: np.ndarray, sigma: float, held: float | None = None
) -> Callable[[np.ndarray], np.ndarray]:
    def residuals(free: np.ndarray) -> np.ndarray:
        parameters = free if held is None else np.concatenate([[held], free])
        with np.errstate(all="ignore"):
            values = family.curve(parameters, times)
            away = (np.log(np.maximum(values, 1e-300)) - target) / sigma
        return np.nan_to_num(away, nan=1e6, posinf=1e6, neginf=-1e6)

    return residuals


def _best(
    family: Family, times: np.ndarray, target: np.ndarray, sigma: float
) -> tuple[np.ndarray, float]:
    """The best of fits from several starts, and its chi2."""
    residuals = _residuals(family, times, target, sigma)
    starts = family.starts.copy()
    starts[:, 1 if family.has_offset else 0] += target[0]
    costs = [float((residuals(start) ** 2).sum()) for start in starts]
    best, least = starts[0], np.inf
    for which in np.argsort(costs, kind="stable")[:_STARTS]:
        fit = least_squares(residuals, starts[which], bounds=(-30, 30), max_nfev=200)
        if 2 * fit.cost < least:
            best, least = fit.x, 2 * fit.cost
    return np.asarray(best), float(least)


def _prediction(family: Family, times: np.ndarray, target: np.ndarray, sigma: float) -> float:
    """Misfit of the last third to a fit of the rest, the fit's own uncertainty allowed for."""
    n = len(times) - len(times) // 3
    if n <= family.starts.shape[1]:
        return float("inf")
    found, _ = _best(family, times[:n], target[:n], sigma)
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


def _slope(times: np.ndarray, logs: np.ndarray) -> tuple[float, float, float]:
    """-d ln error / d ln t over the last decade by seed: mean and 95 % t interval."""
    from scipy.stats import t as student

    late = times >= times[-1] / 10
    if late.sum() < 2:
        late[-2:] = True
    x = np.log(times[late])
    x = x - x.mean()
    slopes = -(logs[:, late] @ x) / (x @ x)
    mean, n = float(slopes.mean()), len(slopes)
    half = float(student.ppf(0.975, n - 1) * slopes.std(ddof=1) / np.sqrt(n))
    return mean, mean - half, mean + half
