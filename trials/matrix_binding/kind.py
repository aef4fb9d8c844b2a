"""The kind `matrix_binding`: is a relation between tokens an offset, or does a matrix bind it?

For pairs of one relation, a ridge map towards a scaled identity is compared with the scaled offset
on unseen pairs. Without any binding, a matrix still beats a single scale if noise and signal have
different spectra. So it must also beat one scale per principal component, and the matrices of other
relations. A null has no relations at all, not even offsets.
"""

from __future__ import annotations

from pydantic import Field, model_validator

from trials.api import Chart, Comparison, Metric, TrialKind
from trials.inputs.row_control import null_control
from trials.inputs.rows import RowsConfig, rows_digests


class MatrixBindingConfig(RowsConfig):
    """Relations between tokens of one matrix, and how each is tested."""

    n_pairs_min: int = Field(
        default=20, ge=20, description="fewest pairs of a relation that is tested"
    )
    n_pairs_max: int = Field(
        default=200,
        ge=20,
        le=2000,
        description="most pairs per relation, evenly by frequency; memory and time grow with the "
        "square",
    )
    n_folds: int = Field(default=5, ge=2, le=10, description="folds over the pairs of a relation")
    n_permutations: int = Field(
        default=199, ge=19, le=100_000, description="permutations of residuals over pairs"
    )
    rank: int = Field(default=4, ge=1, description="rank of the low-rank matrix of model M3")
    n_retrieved: int = Field(
        default=40,
        ge=1,
        description="most pairs per relation whose second token is retrieved among all tokens",
    )

    @model_validator(mode="after")
    def _room_for_pairs(self) -> MatrixBindingConfig:
        if self.n_pairs_max < self.n_pairs_min:
            raise ValueError(
                f"n_pairs_max is {self.n_pairs_max}; it must be at least n_pairs_min, "
                f"{self.n_pairs_min}"
            )
        return self


_MODELS = {
    "m0": "b = a",
    "m1": "b = a + c",
    "m2": "b = g a + c",
    "m3": "b = g a + a Delta + c with Delta cut to `rank` output directions",
    "m4": "b = g a + a Delta + c, ridge on Delta, its penalty chosen inside the training folds",
    "scales": "b = g a + c with one scale per principal component that Delta reads",
}
_R2 = "1 - sum |b - bhat|^2 / sum |b - mean b of the training folds|^2 over pairs of other folds"

METRICS = (
    Metric(
        "n_relations_tested",
        "relations",
        "none",
        "relations with n_pairs_min pairs or more",
        title="relations tested",
    ),
    Metric("n_relations_too_few", "relations", "none", "relations with fewer pairs"),
    Metric(
        "n_bindings",
        "relations",
        "none",
        "relations with a gain above 0 that permuted residuals of b = g a + c do not reach, at a "
        "false discovery rate of 5 %",
        title="relations bound by a matrix",
    ),
    Metric(
        "n_specific_bindings",
        "relations",
        "none",
        "bindings whose gain also exceeds that of every other relation's matrix, and that beat a "
        "scale for each principal component",
    ),
    Metric("n_pairs", "pairs", "none", "pairs of all tested relations", title="pairs of words"),
    Metric(
        "median_gain",
        "frac",
        "maximise",
        "median over relations of 1 - sum |b - bhat|^2 of m4 / the same of m2, each pair by the "
        "fit on the other folds (cross-validated over pairs)",
        title="median gain of a matrix",
    ),
    Metric("largest_gain", "frac", "none", "the largest such gain of a relation"),
    Metric(
        "median_gain_over_scales",
        "frac",
        "none",
        "as median_gain, over the model with a scale for each principal component in place of m2",
    ),
    Metric(
        "cross_relation_gain",
        "frac",
        "none",
        "median over relations of the largest gain by another relation's Delta, its size fitted",
        title="median gain of another relation's matrix",
    ),
    Metric("shuffled_gain", "frac", "none", "median gain with b permuted over pairs"),
    Metric("null_gain", "frac", "none", "median over relations of the mean gain of permutations"),
    *(
        Metric(
            f"mean_r2_{name}",
            "frac",
            "none",
            f"mean over relations of {_R2}; {model}",
            title=f"mean R² of model {name}",
        )
        for name, model in _MODELS.items()
    ),
    *(
        Metric(
            f"mean_hits_{name}",
            "frac",
            "none",
            f"mean over relations of the share of pairs whose b is the token nearest to bhat by "
            f"cosine, among all tokens but a; {model}",
        )
        for name, model in _MODELS.items()
    ),
    *(
        Metric(
            f"mean_mrr_{name}",
            "",
            "none",
            f"mean over relations of the mean of 1 / rank of b in that order; {model}",
        )
        for name, model in _MODELS.items()
    ),
)


KIND = TrialKind(
    name="matrix_binding",
    version=3,
    summary="Relations between tokens: offsets or matrices, tested on unseen pairs.",
    config=MatrixBindingConfig,
    metrics=METRICS,
    objective="median_gain",
    run="trials.matrix_binding.run:run",
    input_digests=rows_digests,
    control=null_control(
        Comparison("median_gain", at="n_pairs", shown="difference"),
        Comparison("n_bindings", at="n_pairs", shown="difference"),
        Comparison("mean_r2_m2", at="n_pairs", shown="difference"),
        within=("n_pairs_min", "n_pairs_max"),
    ),
    charts=(
        Chart(
            title="Relations bound by a matrix",
            x="n_relations_tested",
            y="n_bindings",
            colour="null",
            caption="At a false discovery rate of 5 %.",
        ),
        Chart(
            title="Gain of a matrix, and of the matrix of another relation",
            x="cross_relation_gain",
            y="median_gain",
            colour="null",
            caption="Medians over relations. On the diagonal, the matrix is not specific to the "
            "relation.",
        ),
    ),
)
