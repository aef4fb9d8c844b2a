"""What the verdict's statistics decide on planted curves and planted gaps, at the sizes in use."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from study.selftest.case import LEVEL, Case, Draw
from trials.kernels.statistics import asymptote, paired_gap

Curve = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Errors at times (t > 0), for random constants u in [0, 1), shape (3,)."""

SHORT = np.unique(np.rint(np.geomspace(1, 600, 13)))
LONG = np.unique(np.rint(np.geomspace(1, 1e5, 16)))
_NOISE = 0.01  # of ln error, between seeds: our own runs have 0.005 to 0.01
_N_SEEDS, _N_ITEMS = 5, 60

TO_ZERO: tuple[Curve, ...] = (
    lambda t, u: 1 / (1 + (0.2 + u[0]) * np.log1p(t)),
    lambda t, u: t ** -(0.2 + 0.4 * u[0]),
    lambda t, u: 0.7 * t ** -(0.5 + 0.3 * u[0]) + 0.3 * t ** -(0.1 + 0.15 * u[1]),
    lambda t, u: t ** -(0.3 + 0.3 * u[0]) * (1 + t / (100 + 900 * u[1])) ** (0.15 + 0.15 * u[2]),
    lambda t, u: t ** -(0.1 + 0.1 * u[0]) * (1 + t / (100 + 900 * u[1])) ** -(0.2 + 0.3 * u[2]),
)
ABOVE_ZERO: dict[str, Curve] = {
    "flat curves at 0.23": lambda t, u: np.full(len(t), 0.23),
    "rising curves from 0.23": lambda t, u: 0.23 * t ** (0.02 + 0.03 * u[0]),
    "curves that fall to 0.23 and rise": lambda t, u: (
        0.23 * np.exp((0.01 + 0.01 * u[1]) * (np.log(t) - 0.6 * np.log(t[-1])) ** 2)
    ),
    "power laws above 0.2": lambda t, u: 0.2 + (0.5 + u[0]) * t ** -(0.4 + 0.3 * u[1]),
}


def _any_to_zero(t: np.ndarray, u: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return TO_ZERO[rng.integers(len(TO_ZERO))](t, u)


def is_offset(times: np.ndarray, curve: Curve | None) -> Draw:
    """Whether noisy copies of a curve, or of one that ends at zero, are called an offset."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        u = rng.random(3)
        true = _any_to_zero(times, u, rng) if curve is None else curve(times, u)
        errors = true * np.exp(_NOISE * rng.standard_normal((_N_SEEDS, len(times))))
        return np.array([asymptote(times, errors, noise=0.01).ending == "offset"])

    return draw


def gap_of(mean: float, n_seeds: int, seed_sd: float, item_sd: float) -> Draw:
    """Whether the 95 % interval of a gap that is `mean` on average misses `mean`."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        seeds = seed_sd * rng.standard_normal((n_seeds, 1))
        items = item_sd * rng.standard_normal((1, _N_ITEMS))
        noise = 0.05 * rng.standard_normal((n_seeds, _N_ITEMS))
        gap = mean + seeds + items + noise
        found = paired_gap(gap, np.zeros_like(gap), n_draws=300, rng=rng)
        return np.array([not found.low <= mean <= found.high])

    return draw


def _is_worse(mean: float, n_seeds: int) -> Draw:
    """Paired losses of two arms; is the lower end of the 95 % interval above zero?"""

    def draw(rng: np.random.Generator) -> np.ndarray:
        both = rng.standard_normal((1, 60)) + 0.1 * rng.standard_normal((n_seeds, 60))
        seeds = mean + 0.01 * rng.standard_normal((n_seeds, 1))
        arm = both + seeds + 0.05 * rng.standard_normal((n_seeds, 60))
        return np.array([paired_gap(arm, both, n_draws=500, rng=rng).low > 0])

    return draw


_SIZES = {"13 steps to 600": SHORT, "16 steps to 10^5": LONG}
_DOMINATES = {"seeds": (0.02, 0.002), "items": (0.002, 0.06), "both": (0.02, 0.12)}
_missed = partial(gap_of, 0.1)

VERDICT_CASES = (
    Case("a worse arm, 3 seeds", "equal arms", _is_worse(0.0, 3), most=LEVEL / 2),
    Case("a worse arm, 5 seeds", "equal arms", _is_worse(0.0, 5), most=LEVEL / 2),
    Case("a worse arm, 5 seeds", "worse by five deviations", _is_worse(0.05, 5), least=0.95),
    *(
        Case(
            f"a gap outside its interval, {n} seeds", f"noise of {what}", _missed(n, *sd), most=0.08
        )
        for what, sd in _DOMINATES.items()
        for n in (3, 4, 5, 10)
    ),
    *(
        Case(f"an offset, {size}", "curves that end at zero", is_offset(times, None), most=LEVEL)
        for size, times in _SIZES.items()
    ),
    *(
        Case(f"an offset, {size}", data, is_offset(times, curve), least=0.8)
        for size, times in _SIZES.items()
        for data, curve in ABOVE_ZERO.items()
    ),
)
