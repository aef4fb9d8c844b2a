"""The metrics of the kind `matrix_binding`, each with its exact definition."""

from __future__ import annotations

from trials.api import Metric

_MODELS = {
    "m0": "b = a",
    "m1": "b = a + c",
    "m2": "b = g a + c",
    "m3": "b = g a + a Delta + c with Delta cut to `rank` output directions",
    "m4": "b = g a + a Delta + c, ridge on Delta, its penalty chosen inside the training folds",
    "scales": "b = g a + c with a scale of its own for each principal component that Delta reads",
}
_R2 = "1 - sum |b - bhat|^2 / sum |b - mean b of the training folds|^2 over pairs of other folds"

METRICS = (
    Metric("n_relations_tested", "relations", "none", "relations with n_pairs_min pairs or more"),
    Metric("n_relations_too_few", "relations", "none", "relations that have fewer"),
    Metric(
        "n_bindings",
        "relations",
        "none",
        "relations with a gain above 0 that permuted residuals of b = g a + c do not reach, at a "
        "false discovery rate of 5 %",
    ),
    Metric(
        "n_specific_bindings",
        "relations",
        "none",
        "bindings whose gain also exceeds that of every other relation's matrix, and that beat a "
        "scale for each principal component",
    ),
    Metric("n_pairs", "pairs", "none", "pairs of all tested relations"),
    Metric(
        "median_gain",
        "frac",
        "maximise",
        "median over relations of 1 - sum |b - bhat|^2 of m4 / the same of m2, each pair by the "
        "fit on the other folds (cross-validated over pairs)",
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
    ),
    Metric("shuffled_gain", "frac", "none", "median gain with b permuted over pairs"),
    Metric("null_gain", "frac", "none", "median over relations of the mean gain of permutations"),
    *(
        Metric(f"mean_r2_{name}", "frac", "none", f"mean over relations of {_R2}; {model}")
        for name, model in _MODELS.items()
    ),
    *(
        Metric(
            f"mean_hits_{name}",
            "frac",
            "none",
            f"mean over relations of the share of pairs whose b is the token most alike bhat by "
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
