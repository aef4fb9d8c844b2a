"""Statistics over trials, seeds and tests: p-values, intervals, gaps between arms, asymptotes."""

from trials.kernels.statistics.asymptotes import Asymptote, Ending, asymptote
from trials.kernels.statistics.curves import read_curve
from trials.kernels.statistics.paired_gap import (
    Curve,
    Gap,
    gap_trend,
    mean_interval,
    paired_gap,
    tokens_ratio,
)
from trials.kernels.statistics.regression import Regression, standardised_regression
from trials.kernels.statistics.significance import (
    Discoveries,
    benjamini_hochberg,
    permutation_p_value,
)

__all__ = [
    "Asymptote",
    "Curve",
    "Discoveries",
    "Ending",
    "Gap",
    "Regression",
    "asymptote",
    "benjamini_hochberg",
    "gap_trend",
    "mean_interval",
    "paired_gap",
    "permutation_p_value",
    "read_curve",
    "standardised_regression",
    "tokens_ratio",
]
