"""The penalty at which exact codes are as sparse as wanted."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from trials.kernels.sparse_coding.lasso import critical_penalties, lasso_codes

_MOST_SOLVES = 20
_SMALLEST_SHARE = 1e-4


class MatchedPenalty(NamedTuple):
    """A penalty, and what it gives.

    Attributes:
        l1_penalty: absolute.
        l0: weighted mean number of atoms per signal at that penalty.
    """

    l1_penalty: float
    l0: float


def penalty_for_l0(
    signals: Float[np.ndarray, "n_signals d_model"],
    atoms: Float[np.ndarray, "n_atoms d_dictionary"],
    l0: float,
    *,
    weights: Float[np.ndarray, " n_weights"] | None = None,
    nonnegative: bool = False,
    start: float | None = None,
    relative_tolerance: float = 0.005,
    tolerance: float = 1e-5,
    n_threads: int | None = None,
) -> MatchedPenalty:
    """The penalty whose LASSO codes have `l0` entries per signal, in the weighted mean.

    By a bracketed secant in the logarithms of both. Comes back as near as 20 solves bring it, above
    1e-4 of the largest critical penalty; `l0` of the result says how near. No solve is warm-started
    from the last: codes keep atoms that are nearly 0 from where they start, and their number would
    depend on the way to the penalty.

    Args:
        l0: wanted; 0 gives the penalty at which all codes vanish.
        weights: of the signals in the mean, of any scale; default 1.
        start: a penalty that may be near.
        relative_tolerance: of `l0`.
        tolerance: relative duality gap of the codes that are counted.

    Raises:
        ValueError: as `lasso_codes`; or a wanted `l0` that is negative or not finite, weights of
            another length or without a positive sum.
    """
    if not 0 <= l0 < np.inf:
        raise ValueError(f"l0 is {l0}; it must be finite and not negative")
    weights = np.ones(len(signals)) if weights is None else weights
    if weights.shape != (len(signals),) or not weights.sum() > 0:
        raise ValueError(f"weights must be ({len(signals)},) with a positive sum")
    critical = critical_penalties(signals, atoms, nonnegative=nonnegative, n_threads=n_threads)
    top = float(critical.max())
    if l0 == 0 or top == 0:
        return MatchedPenalty(top or 1.0, 0.0)
    high = _Tried(float(np.log(top)), 0.0)
    low = _Tried(float(np.log(_SMALLEST_SHARE * top)), np.inf)
    guess = float(np.clip(np.log(start or top / 4), low.log_penalty, high.log_penalty))
    best = _Tried(high.log_penalty, 0.0)
    for _ in range(_MOST_SOLVES):
        solved = lasso_codes(
            signals,
            atoms,
            l1_penalty=float(np.exp(guess)),
            nonnegative=nonnegative,
            tolerance=tolerance,
            n_threads=n_threads,
        )
        tried = _Tried(guess, float(weights @ np.diff(solved.codes.indptr) / weights.sum()))
        if abs(tried.l0 - l0) < abs(best.l0 - l0):
            best = tried
        if abs(tried.l0 - l0) <= relative_tolerance * l0:
            break
        low, high = (tried, high) if tried.l0 > l0 else (low, tried)
        guess = _next_guess(low, high, tried, l0)
    return MatchedPenalty(float(np.exp(best.log_penalty)), best.l0)


class _Tried(NamedTuple):
    log_penalty: float
    l0: float


def _next_guess(low: _Tried, high: _Tried, last: _Tried, l0: float) -> float:
    """A penalty between two of which one is too low and one too high."""
    width = high.log_penalty - low.log_penalty
    if high.l0 > 0 and low.l0 < np.inf:
        share = np.log(low.l0 / l0) / np.log(low.l0 / high.l0)
        return low.log_penalty + width * float(np.clip(share, 0.1, 0.9))
    if last.l0 == 0:
        return last.log_penalty - 0.1 * width
    # l0 falls two to four times as fast as the penalty rises.
    wanted = last.log_penalty + 0.4 * float(np.log(last.l0 / l0))
    inside = (low.log_penalty + 0.02 * width, high.log_penalty - 0.02 * width)
    return float(np.clip(wanted, *inside))
