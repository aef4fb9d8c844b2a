"""The kind `circles`: do tokens lie on circles, in known sets of words and in unlabelled ones?

Sets of words with a known order are compared with all orders of the same rows; a circle differs
from a line in that its ends meet. Neighbourhoods of tokens and groups of atoms are searched for
rings of points, each compared with Gaussian clouds. Planted circles and rings measure the power of
both.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from trials.api import Chart, Comparison, Metric, TrialKind, titled
from trials.circles.titles import TITLES
from trials.inputs.corpora import corpus_digest
from trials.inputs.corpora.uri import parse_corpus
from trials.inputs.row_control import null_control
from trials.inputs.rows import rows_digests
from trials.pursuit.kind import PursuitConfig
from trials.pursuit.metrics import DICTIONARY_QUALITY

Nuisances = Literal["kept", "words", "length", "frequency", "all"]
NUISANCES: tuple[Nuisances, ...] = ("kept", "words", "length", "frequency", "all")
CIRCLE_SHARES = (0.2, 0.3, 0.5)
"""Fourier shares of the planted circles that measure the power."""


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
        default=50_000,
        ge=9,
        le=1_000_000,
        description="Gaussian clouds that all candidates of one size are compared with",
    )
    group_size: int = Field(
        default=4, ge=2, le=100, description="atoms per group, nearest to each other by |cosine|"
    )

    nuisances: Nuisances = Field(
        default="kept",
        description="what is removed before ordered sets are tested: nothing (kept), polysemous "
        "words, the direction of token length or of log frequency, or all of these; the table "
        "set_variants has every choice",
    )
    polysemous_words: str = Field(
        default="March May August Sun Sat Mon Mar Jan Cancer second orange Mercury Mars Earth",
        description="words with another frequent meaning, separated by spaces",
    )
    cooccurrence_text: str = Field(
        default="",
        description="text whose co-occurrences the order of words is compared with: stdlib:, "
        "corpus:PATH or hub:OWNER/NAME; empty: not run",
    )
    cooccurrence_bytes: int = Field(
        default=50_000_000, ge=1000, le=2_000_000_000, description="bytes of that text to read"
    )

    @field_validator("cooccurrence_text")
    @classmethod
    def _known_text(cls, text: str) -> str:
        if text:
            parse_corpus(text)
        return text

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
    "groups": "groups of group_size atoms: n_points of their tokens drawn at random, one per word "
    "family, reconstructed from the group alone",
}

_ROUND = "cyclic sets of words (days, months, ...)"

METRICS = titled(
    TITLES,
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
        "of those, sets that a circle explains and whose closure exceeds 0.3 wherever the order is "
        "cut",
    ),
    Metric(
        "n_curves",
        "sets",
        "none",
        "of those, sets whose circulant_share is at most 0.6 and whose closure is at most 0",
    ),
    *(
        Metric(
            f"circle_power_{round(100 * share)}",
            "frac",
            "none",
            f"mean over {_ROUND} of the share of planted circles that are found: {share:.1f} of "
            "the variance, in rows of random tokens",
        )
        for share in CIRCLE_SHARES
    ),
    Metric(
        "n_text_sets",
        "sets",
        "none",
        "sets with at least 6 words that occur 20 times in cooccurrence_text",
    ),
    Metric(
        "n_beyond_text",
        "sets",
        "none",
        "of those, sets whose similarities show the order beyond what the words' PPMI rows "
        "predict, p at most 0.05",
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
                f"{sort} in which a ring of points explains a plane of n_components principal "
                "components better than in Gaussian clouds, and better than clusters, at a false "
                "discovery rate of 5 %",
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
                "mean log likelihood ratio of a ring of points vs. one centre, minus its mean over "
                "the Gaussian clouds",
            ),
            *(
                metric
                for part, points in (("all", "all points"), ("part", "40 % of the points"))
                for metric in (
                    Metric(
                        f"loop_power_{part}_{sort}",
                        "frac",
                        "none",
                        f"share found of rings planted in {sort}, a twentieth at a time: {points}, "
                        "40 % of the variance",
                    ),
                    Metric(
                        f"loops_bound_{part}_{sort}",
                        "1/1000",
                        "none",
                        f"loops_per_thousand_{sort}_high / loop_power_{part}_{sort}, at most 1000: "
                        "the upper bound on rings of that size",
                    ),
                )
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


def _digests(config: CirclesConfig) -> dict[str, str]:
    """Those of the rows, and of the text if there is one."""
    digests = rows_digests(config)
    if config.cooccurrence_text:
        digests["cooccurrence_text"] = corpus_digest(config.cooccurrence_text)
    return digests


KIND = TrialKind(
    name="circles",
    version=8,
    summary="Circles of tokens: ordered sets of words, and loops in neighbourhoods and atoms.",
    config=CirclesConfig,
    metrics=METRICS,
    objective="loop_excess_neighbourhoods",
    run="trials.circles.run:run",
    input_digests=_digests,
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
