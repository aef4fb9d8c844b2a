"""The metrics of the kind `pursuit`, each with its exact definition."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from trials.api import Metric
from trials.pursuit.sides import CODED, SIDE_NAMES, on_sides, side_title

_FVU = (
    "sum_i w_i |x_i - xhat_i|^2 / sum_i w_i |x_i - mu|^2, with w_i = p_i^frequency_exponent and mu "
    "the weighted mean of the training rows"
)

ERROR = [
    *on_sides("fvu", "frac", "minimise", f"{_FVU}; xhat from the l1-penalised codes as they are"),
    *on_sides("fvu_debiased", "frac", "minimise", f"{_FVU}; xhat by least squares on each support"),
    *on_sides(
        "fvu_omp",
        "frac",
        "minimise",
        f"{_FVU}; xhat by signed orthogonal matching pursuit over the same atoms, l0_omp atoms per "
        "token where they lower the error most",
        CODED,
    ),
    *on_sides("fvu_unweighted", "frac", "minimise", "as fvu, with all w_i = 1 (mu unchanged)"),
    *on_sides("fvu_debiased_unweighted", "frac", "minimise", "as fvu_debiased, with all w_i = 1"),
    *on_sides("nmse", "frac", "minimise", "weighted mean of |x_i - xhat_i|^2 / |x_i - mu|^2"),
    *on_sides("cosine", "", "maximise", "weighted mean of cos(x_i - mu, xhat_i - mu)"),
    *(
        Metric(
            f"fvu_held_out_decile_{decile}",
            "frac",
            "minimise",
            f"fvu within tenth {decile} of the held-out tokens by falling frequency "
            "(0 the most frequent)",
            held_out=True,
            title=f"held-out error (FVU), frequency tenth {decile}",
        )
        for decile in range(10)
    ),
]

SPARSITY = [
    *on_sides(
        "l0", "atoms", "minimise", "weighted mean number of coefficients with |a| > 1e-6 |x_i|"
    ),
    *on_sides(
        "l0_omp",
        "atoms",
        "minimise",
        "weighted mean number of atoms of orthogonal matching pursuit: that of l0 to one atom of "
        "one token",
        CODED,
    ),
    *on_sides("l1", "", "minimise", "weighted mean of sum_j |a_ij|"),
    *on_sides(
        "l0_participation",
        "atoms",
        "minimise",
        "weighted mean of (sum_j |a_ij|)^2 / sum_j a_ij^2",
    ),
]


_BITS = [
    *on_sides(
        "bits_per_token",
        "bits",
        "minimise",
        "weighted mean of log2(1 + max s) + log2 C(n_atoms, s_i) + s_i coefficient_bits, plus "
        "dictionary_bits; s_i active atoms, coefficients by least squares on the support, rounded",
        CODED,
    ),
    *on_sides("code_bits", "bits", "minimise", "bits_per_token without dictionary_bits", CODED),
    *on_sides(
        "fvu_rounded",
        "frac",
        "minimise",
        "fvu_debiased with the coefficients rounded as they are sent",
        CODED,
    ),
    *on_sides(
        "gaussian_bits",
        "bits",
        "none",
        "R(D) of a Gaussian with the weighted covariance of the training rows, by reverse water "
        "filling, at fvu_rounded",
        CODED,
    ),
    *on_sides(
        "excess_bits",
        "bits",
        "minimise",
        "code_bits minus gaussian_bits; a negative value means "
        "shorter than any code of Gaussian rows could be at this error",
        CODED,
    ),
    *on_sides(
        "net_bits",
        "bits",
        "minimise",
        "bits_per_token minus the bits of that Gaussian with its eigenbasis, rounded and counted "
        "like the atoms at its best precision, at the error with coefficients and atoms rounded; "
        "a negative value means that the dictionary pays for itself",
        CODED,
    ),
]

OF_EACH_CODER = (
    "bits_per_token",
    "code_bits",
    "fvu_rounded",
    "gaussian_bits",
    "excess_bits",
    "net_bits",
)
"""Measured on the supports of the LASSO, and with the ending `_omp` on greedy codes."""

BITS = [
    *_BITS,
    *(
        replace(
            metric,
            name=f"{name}_omp_{side}",
            definition=f"as {name}, of the codes of fvu_omp; over the {SIDE_NAMES[side]}",
            title=f"{metric.title}, greedy codes",
        )
        for (name, side), metric in zip(product(OF_EACH_CODER, CODED), _BITS, strict=True)
    ),
    Metric(
        "coefficient_bits",
        "bits",
        "none",
        "entropy of a coefficient rounded to the coarsest uniform step that raises the validation "
        "fvu_debiased by at most 1 %",
    ),
    Metric(
        "atom_bits",
        "bits",
        "none",
        "entropy of an entry of the dictionary rounded to the uniform step that makes net_bits of "
        "the validation tokens least",
    ),
    Metric(
        "dictionary_bits",
        "bits",
        "none",
        "n_atoms d_model atom_bits / number of tokens: each token's share of the dictionary",
    ),
]

_DICTIONARY = [
    Metric("dead_frac", "frac", "minimise", "atoms that no training token uses / atoms"),
    Metric("rare_frac", "frac", "minimise", "atoms that one or two training tokens use / atoms"),
    Metric("token_copy_frac", "frac", "none", "atoms with |cos| > 0.95 to a training row / atoms"),
    Metric(
        "memorised_frac",
        "frac",
        "minimise",
        "atoms with |cos| > 0.95 to a training row that one or two training tokens use / atoms",
    ),
    Metric(
        "memorises",
        "",
        "minimise",
        "1 if the dictionary memorises tokens instead of sharing features: unweighted fvu_debiased "
        "above 0.01 on validation tokens and less than a quarter of that on training tokens, or "
        "memorised_frac above 0.5; else 0",
    ),
]

COHERENCE = [
    Metric(
        f"mutual_coherence{suffix}",
        "",
        "none",
        f"{which} over atoms of the largest |cos| with another atom",
    )
    for suffix, which in (
        ("", "maximum"),
        ("_p99", "99th percentile"),
        ("_p90", "90th percentile"),
        ("_p50", "median"),
    )
]

GAPS = [
    Metric(
        f"gap_{which}",
        "",
        "minimise",
        f"{definition} over all tokens of the duality gap of the code, float64, divided by "
        "|x_i|^2 / 2",
    )
    for which, definition in (
        ("max", "maximum"),
        ("p99", "99th percentile"),
        ("median", "median"),
    )
]

_N_ATOMS = "atoms of the dictionary"
_RUN = [
    Metric(
        "training_step",
        "steps",
        "none",
        "the pretraining step in the source, as in hub:NAME@step3000; NaN if it names none",
        title="training steps",
    ),
    Metric(
        "l1_penalty_absolute",
        "",
        "none",
        "l1_penalty times the median critical penalty of training tokens after a warm-up, frozen",
    ),
    Metric(
        "l1_penalty_reached",
        "",
        "none",
        "l1_penalty_absolute / median over training tokens (at most 8192, evenly chosen) of "
        "max_j |d_j . x_i| under the final dictionary",
    ),
    Metric(
        "effective_sample_size",
        "tokens",
        "none",
        "(sum w)^2 / sum w^2 over the training tokens",
    ),
    Metric("n_train_tokens", "tokens", "none", "tokens the dictionary is learned from"),
    Metric("n_validation_tokens", "tokens", "none", "tokens for choices such as early stopping"),
    Metric("n_held_out_tokens", "tokens", "none", "sealed tokens"),
    Metric("n_atoms_resolved", "atoms", "none", "rows of the dictionary", title=_N_ATOMS),
    Metric(
        "learning_passes", "passes", "none", "passes over the training tokens, without the warm-up"
    ),
    Metric(
        "learning_converged",
        "",
        "none",
        "1 if the objective converged before max_passes, else 0",
    ),
    Metric(
        "solver_s",
        "s",
        "minimise",
        "wall time of the final sparse coding of all tokens",
        timing=True,
    ),
    Metric(
        "learning_s",
        "s",
        "minimise",
        "wall time of calibrating and learning the dictionary",
        timing=True,
    ),
]

DICTIONARY_QUALITY = (
    *(
        Metric(
            f"{name}_validation",
            unit,
            "none",
            "of the dictionary, as in the kind pursuit",
            title=side_title(name, "validation"),
        )
        for name, unit in (("fvu_debiased", "frac"), ("l0", "atoms"))
    ),
    Metric(
        "gap_max", "", "minimise", "maximum over all tokens of the relative duality gap, float64"
    ),
)
"""Metrics of the dictionary in kinds that learn one only to test it."""

METRICS = (*ERROR, *SPARSITY, *BITS, *_DICTIONARY, *COHERENCE, *GAPS, *_RUN)


def of_pursuit(*names: str) -> tuple[Metric, ...]:
    """Metrics of the kind `pursuit` that another kind has too, in this order."""
    by_name = {metric.name: metric for metric in METRICS}
    return tuple(by_name[name] for name in names)
