"""What the kind `circles` measures."""

from __future__ import annotations

from trials.api import Metric

SORTS = {
    "neighbourhoods": "neighbourhoods of n_points tokens, one a word family, no token in two",
    "groups": "groups of group_size atoms: the n_points tokens, one a word family, that they make "
    "most of, rebuilt from them alone",
}

_ROUND = "ordered sets of words that come round (days, months, ...)"

METRICS = (
    Metric("n_sets_tested", "sets", "none", "ordered sets of words with at least 6 tokens"),
    Metric("n_sets_too_few", "sets", "none", "ordered sets of words with fewer tokens"),
    Metric(
        "n_ordered",
        "sets",
        "none",
        "sets in whose label order the first Fourier pair, or a line and a parabola, explain more "
        "than in permuted orders, at a false discovery rate of 5 % each",
    ),
    Metric(
        "n_circles",
        "sets",
        "none",
        "of those, sets whose circulant_share exceeds 0.6 and whose closure exceeds 0.5",
    ),
    Metric(
        "n_curves",
        "sets",
        "none",
        "of those, sets whose circulant_share is at most 0.6 and whose closure is at most 0",
    ),
    Metric("n_round_sets_tested", "sets", "none", f"tested {_ROUND}"),
    Metric("n_round_circles", "sets", "none", f"n_circles among {_ROUND}"),
    Metric(
        "fourier_excess",
        "frac",
        "none",
        f"mean over {_ROUND} of |F^T X|^2 / |X|^2, F the first Fourier pair in label order and X "
        "the rows about their mean, less its mean over orders, 2 / (n - 1)",
    ),
    *(
        metric
        for sort, candidates in SORTS.items()
        for metric in (
            Metric(f"n_{sort}", "candidates", "none", candidates),
            Metric(
                f"n_loops_{sort}",
                "candidates",
                "none",
                f"{sort} whose longest-lived loop in H1 of n_components principal components "
                "outlives those of Gaussian clouds of the same covariance, at a false discovery "
                "rate of 5 %",
            ),
            Metric(
                f"loops_per_thousand_{sort}",
                "1/1000",
                "none",
                f"1000 n_loops_{sort} / n_{sort}; compare with that of a null",
            ),
            *(
                Metric(
                    f"loops_per_thousand_{sort}_{side}",
                    "1/1000",
                    "none",
                    f"{side} end of its exact binomial interval, 95 %",
                )
                for side in ("low", "high")
            ),
            Metric(
                f"loop_excess_{sort}",
                "",
                "maximise",
                "mean of ln ln (death / birth) of the longest-lived loop, less its mean over the "
                "Gaussian clouds",
            ),
            Metric(
                f"p_below_05_{sort}",
                "frac",
                "none",
                f"{sort} with p at most 0.05, before any correction; 0.05 by chance",
            ),
        )
    ),
    Metric(
        "n_large_groups", "groups", "none", "groups that at least 2000 tokens use: indices below"
    ),
    Metric(
        "median_mixture_index",
        "frac",
        "none",
        "median over these of max over lines of the share of tokens within a tenth of the root "
        "mean square distance, in the leading plane; near 1 for a feature that is on or off",
    ),
    Metric(
        "median_separability",
        "bits",
        "none",
        "median over these of min over rotations of the mutual information of the coordinates of "
        "that plane, less that of shuffled ones; near 0 for two independent features",
    ),
    Metric("fvu_debiased_validation", "frac", "none", "of the dictionary, as in the kind pursuit"),
    Metric("l0_validation", "atoms", "none", "of the dictionary, as in the kind pursuit"),
    Metric(
        "gap_max", "", "minimise", "maximum over all tokens of the relative duality gap, float64"
    ),
    Metric("search_s", "s", "none", "wall time of the search for loops", timing=True),
)
