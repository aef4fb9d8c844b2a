"""The kind `circles`: do tokens lie on circles, in known sets of words and in unlabelled ones?

Sets of words with a known order are compared with all orders of the same rows; a circle differs
from a line in that its ends meet. Neighbourhoods of tokens and groups of atoms are searched for
loops by persistent homology, each compared with Gaussian clouds of the same covariance.
"""

from __future__ import annotations

from pydantic import Field, model_validator

from trials.api import Chart, Comparison, Metric, TrialKind
from trials.inputs.rows import null_control, rows_digests
from trials.pursuit.kind import PursuitConfig
from trials.pursuit.metrics import DICTIONARY_QUALITY


class CirclesConfig(PursuitConfig):
    """A dictionary as in the kind `pursuit`, and where circles are searched for."""

    n_permutations: int = Field(
        default=9999,
        ge=99,
        le=1_000_000,
        description="permuted orders of a labelled set, if there are too many to try all",
    )
    n_candidates: int = Field(
        default=300,
        ge=10,
        le=10_000,
        description="most neighbourhoods of tokens, and most groups of atoms, that are searched "
        "for loops",
    )
    n_points: int = Field(
        default=30, ge=10, le=200, description="tokens per candidate, one per word family"
    )
    n_components: int = Field(
        default=3, ge=2, le=20, description="principal components of a candidate that are searched"
    )
    n_null: int = Field(
        default=24,
        ge=9,
        le=9999,
        description="Gaussian clouds that each candidate is compared with",
    )
    group_size: int = Field(
        default=4, ge=2, le=100, description="atoms per group, nearest to each other by |cosine|"
    )

    @model_validator(mode="after")
    def _room_for_components(self) -> CirclesConfig:
        if self.n_points < self.n_components + 2:
            raise ValueError(
                f"n_points is {self.n_points}; it must be at least n_components + 2, "
                f"{self.n_components + 2}"
            )
        if self.group_size < self.n_components:
            raise ValueError(
                f"group_size is {self.group_size}; it must be at least n_components, "
                f"{self.n_components}"
            )
        return self


SORTS = {
    "neighbourhoods": "neighbourhoods of n_points tokens, one per word family, disjoint",
    "groups": "groups of group_size atoms: the n_points tokens, one per word family, with the "
    "largest contribution of the group, reconstructed from the group alone",
}

_ROUND = "cyclic sets of words (days, months, ...)"

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
        "the rows about their mean, minus its mean over orders, 2 / (n - 1)",
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
                f"1000 n_loops_{sort} / n_{sort}; compare with the null",
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
                "mean of ln ln (death / birth) of the longest-lived loop, minus its mean over the "
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
        "n_large_groups",
        "groups",
        "none",
        "groups used by at least 2000 tokens; they have the indices below",
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
        "that plane, minus that of shuffled ones; near 0 for two independent features",
    ),
    *DICTIONARY_QUALITY,
    Metric("search_s", "s", "none", "wall time of the search for loops", timing=True),
)


KIND = TrialKind(
    name="circles",
    version=7,
    summary="Circles of tokens: ordered sets of words, and loops in neighbourhoods and atoms.",
    config=CirclesConfig,
    metrics=METRICS,
    objective="loop_excess_neighbourhoods",
    run="trials.circles.run:run",
    input_digests=rows_digests,
    control=null_control(
        Comparison("n_circles", at="n_sets_tested", shown="difference"),
        Comparison("fourier_excess", at="n_round_sets_tested", shown="difference"),
        Comparison("loops_per_thousand_neighbourhoods", at="n_sets_tested", shown="difference"),
        Comparison("loops_per_thousand_groups", at="n_sets_tested", shown="difference"),
        within=("n_atoms", "nonnegative", "l1_penalty"),
    ),
    charts=(
        Chart(
            title="Sets of words on a circle",
            x="n_ordered",
            y="n_circles",
            colour="null",
            caption="x: sets ordered beyond chance at a false discovery rate of 5 %; y: closed "
            "ones.",
        ),
        Chart(
            title="Loops per thousand candidates",
            x="loops_per_thousand_groups",
            y="loops_per_thousand_neighbourhoods",
            colour="null",
            caption="Groups of atoms and neighbourhoods of tokens whose loop outlives the null.",
        ),
    ),
)
