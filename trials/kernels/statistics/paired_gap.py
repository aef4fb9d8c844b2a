"""How much worse one arm is than another, paired by seed: intervals, equivalence, lost tokens."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import t as student

Curve = tuple[np.ndarray, np.ndarray]
"""Tokens and losses along a training."""


class Gap(NamedTuple):
    """A mean difference over paired seeds.

    Attributes:
        mean: of arm minus reference.
        low, high: interval of the given level.
        n_seeds: pairs.
        method: "multi-bootstrap" or "t", whichever is wider.
        seed_sd: standard deviation of the differences over seeds.
    """

    mean: float
    low: float
    high: float
    n_seeds: int
    method: str
    seed_sd: float


def mean_interval(
    values: Float[np.ndarray, " n_seeds"], level: float = 0.95
) -> tuple[float, float, float]:
    """The mean and both ends of Student's interval; unbounded for a single value."""
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return mean, -np.inf, np.inf
    half = float(student.ppf(0.5 + level / 2, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
    return mean, mean - half, mean + half


def paired_gap(
    arm: Float[np.ndarray, "n_seeds n_items"],
    reference: Float[np.ndarray, "n_seeds n_items"],
    *,
    level: float = 0.95,
    n_draws: int = 2000,
    rng: np.random.Generator,
) -> Gap:
    """Mean over seeds and items of `arm - reference`, whose rows are seeds and columns items.

    The interval is the wider of two. Student's over the seeds' mean differences covers too little
    where the noise of items dominates, which all seeds share. The Multi-Bootstrap (Sellam et al.
    2022), which resamples seeds and items together, both arms alike, covers too little where the
    noise of few seeds dominates: 85 % of a nominal 95 % at five.

    Raises:
        ValueError: arms of different shape, or no seed.
    """
    arm, reference = np.asarray(arm, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if arm.shape != reference.shape or arm.ndim != 2 or not len(arm):
        raise ValueError(f"arms are {arm.shape} and {reference.shape}; one shape, 1 seed at least")
    differences = arm - reference
    by_seed = differences.mean(axis=1)
    n, mean = len(by_seed), float(by_seed.mean())
    sd = float(by_seed.std(ddof=1)) if n > 1 else float("nan")
    _, t_low, t_high = mean_interval(by_seed, level)
    n_items = differences.shape[1]
    draws = np.empty(n_draws)
    for draw in range(n_draws):
        seeds = rng.integers(n, size=n)
        counts = np.bincount(rng.integers(n_items, size=n_items), minlength=n_items)
        draws[draw] = (differences[seeds].mean(axis=0) @ counts) / n_items
    low, high = np.quantile(draws, [0.5 - level / 2, 0.5 + level / 2])
    if t_high - t_low >= high - low:
        return Gap(mean, t_low, t_high, n, "t", sd)
    return Gap(mean, float(low), float(high), n, "multi-bootstrap", sd)


def tokens_ratio(
    arm: Curve,
    reference: Curve,
    *,
    share: float = 1.0,
) -> float:
    """Tokens that `arm` needs to reach a loss of `reference`, over those that it needed itself.

    The loss is the reference's best after `share` of its tokens. With all of them, a worse arm of
    the same budget never reaches it. Each side is (tokens, losses) along training. The best loss
    so far counts, interpolated linearly in the logarithm of the tokens. If the arm never reaches
    the loss: minus its last tokens over the reference's, whose size is a lower bound.
    """
    early = np.asarray(reference[0]) <= share * reference[0][-1] * (1 + 1e-9)
    early[0] = True  # a curve of one point has no half
    wanted = float(np.min(np.asarray(reference[1])[early]))
    needed = _tokens_to(*reference, wanted)
    reached = _tokens_to(*arm, wanted)
    if np.isnan(reached):
        return -float(arm[0][-1] / needed)
    return float(reached / needed)


def gap_trend(
    pairs: Sequence[tuple[Curve, Curve]], *, share: float = 0.5, level: float = 0.95
) -> tuple[float, float, float]:
    """How fast the gap closes over the training: g of gap ~ tokens^-g, with its interval.

    The mean over seeds of -d ln(arm - reference) / d ln tokens, by least squares over what lies
    beyond `share` of the tokens, and Student's interval of that level. Above 0 the gap is, at
    least in part, one of speed. NaN where a seed's gap is not positive throughout, or has fewer
    than 3 points; unbounded ends for a single seed.

    Args:
        pairs: by seed, arm and reference, each (tokens, losses) at the same tokens.

    Raises:
        ValueError: no seed, or an arm that was measured at other tokens than its reference.
    """
    slopes = []
    for arm, reference in pairs:
        tokens = np.asarray(reference[0], dtype=np.float64)
        if not np.array_equal(np.asarray(arm[0], dtype=np.float64), tokens):
            raise ValueError("arm and reference were measured at other tokens")
        late = tokens >= share * tokens[-1]
        gaps = (np.asarray(arm[1], dtype=np.float64) - reference[1])[late]
        if late.sum() < 3 or not (gaps > 0).all():
            return float("nan"), float("nan"), float("nan")
        slopes.append(-np.polyfit(np.log(tokens[late]), np.log(gaps), 1)[0])
    if not slopes:
        raise ValueError("no seed")
    return mean_interval(np.array(slopes), level)


def _tokens_to(tokens: np.ndarray, losses: np.ndarray, wanted: float) -> float:
    best = np.minimum.accumulate(np.asarray(losses, dtype=np.float64))
    there = np.flatnonzero(best <= wanted)
    if not len(there):
        return float("nan")
    after = int(there[0])
    if after == 0 or tokens[after - 1] <= 0:
        return float(tokens[after])
    share = (best[after - 1] - wanted) / (best[after - 1] - best[after])
    logs = np.log(np.asarray(tokens[after - 1 : after + 1], dtype=np.float64))
    return float(np.exp(logs[0] + share * (logs[1] - logs[0])))
