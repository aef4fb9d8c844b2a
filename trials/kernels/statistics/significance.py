"""p-values from draws of a null, and which of many to reject."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Discoveries(NamedTuple):
    """Which of many hypotheses are rejected.

    Attributes:
        rejected: bool, as the p-values.
        adjusted: the level at which each would just be rejected; NaN where the p-value is.
    """

    rejected: np.ndarray
    adjusted: np.ndarray


def permutation_p_value(statistic: float, null: np.ndarray, *, greater: bool = True) -> float:
    """(1 + #{null draws at least as extreme}) / (1 + #draws); valid at any number of draws.

    Source: Phipson and Smyth 2010.
    """
    draws = np.asarray(null, dtype=np.float64)
    if np.isnan(statistic) or not len(draws):
        return float("nan")
    extreme = draws >= statistic if greater else draws <= statistic
    return float((1 + extreme.sum()) / (1 + len(draws)))


def benjamini_hochberg(p_values: np.ndarray, *, level: float = 0.05) -> Discoveries:
    """Reject the k smallest, k the largest with p_(k) <= level k / n; NaN is never rejected.

    The share of false ones among the rejected is at most `level` in expectation (independent or
    positively dependent hypotheses). Source: Benjamini and Hochberg 1995.
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p_values.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p_values))
    if len(known):
        order = known[np.argsort(p_values[known], kind="stable")]
        # Not scipy.stats.false_discovery_control: it multiplies by n / k instead, which rounds
        # differently. Permutation p-values often lie exactly on a threshold, where the last bit
        # decides.
        scaled = p_values[order] * len(order) / np.arange(1, len(order) + 1)
        adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return Discoveries(adjusted <= level, adjusted)
