"""The kind `matrix_binding`: is a relation between tokens an offset, or does a matrix bind it?

For pairs of one relation, a ridge map towards a scaled identity is held against the scaled offset
on pairs it has not seen. Even without any binding, noise of another shape than the signal's makes
a matrix better than one scale; so it must also beat a scale for each principal component, and the
matrices of other relations. A null has no relations at all, not even offsets.
"""

from __future__ import annotations

from trials.api import Chart, Comparison, Control, TrialKind
from trials.inputs.rows import ROWS_FIELDS, rows_digests
from trials.matrix_binding.config import MatrixBindingConfig
from trials.matrix_binding.metrics import METRICS

KIND = TrialKind(
    name="matrix_binding",
    version=1,
    summary="Relations between tokens: offsets, or matrices, on pairs that were not fitted.",
    config=MatrixBindingConfig,
    metrics=METRICS,
    objective="median_gain",
    run="trials.matrix_binding.run:run",
    input_digests=rows_digests,
    control=Control(
        field="null",
        real="none",
        comparisons=(
            Comparison("median_gain", at="n_pairs", shown="difference"),
            Comparison("n_bindings", at="n_pairs", shown="difference"),
            Comparison("mean_r2_m2", at="n_pairs", shown="difference"),
        ),
        within=(*ROWS_FIELDS, "n_pairs_min", "n_pairs_max"),
    ),
    charts=(
        Chart(
            title="Relations that a matrix binds",
            x="n_relations_tested",
            y="n_bindings",
            colour="null",
            caption="At a false discovery rate of 5 %.",
        ),
        Chart(
            title="What a matrix adds, and another relation's matrix",
            x="cross_relation_gain",
            y="median_gain",
            colour="null",
            caption="Medians over relations. On the diagonal, the matrix is no relation's own.",
        ),
    ),
)
