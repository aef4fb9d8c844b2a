"""Sparse codes of given signals over a given dictionary, each with its certificate.

`lasso` (working sets on the CPU, ADMM on GPUs and for dense codes), `omp` (greedy), `exact` (no
error at all). `penalty` finds the penalty for a wanted sparsity. `reconstruction`,
`description_length` and `whole_length` (with the dictionary) measure codes: error in float64, bits.
`checks` is what all coders refuse. `device` holds what runs in torch, for GPUs.
Start with `lasso_codes`.
"""

from trials.kernels.sparse_coding.certificate import duality_gap
from trials.kernels.sparse_coding.checks import Penalty
from trials.kernels.sparse_coding.description_length import (
    FINEST_HALVINGS,
    FVU_CHANGE,
    Quantised,
    coefficient_step,
    entropy_bits,
    gaussian_rate_bits,
    quantise,
    rounded,
)
from trials.kernels.sparse_coding.exact import ExactCodes, exact_codes
from trials.kernels.sparse_coding.lasso import (
    LassoCodes,
    critical_penalties,
    debiased_codes,
    lasso_codes,
    lasso_path,
)
from trials.kernels.sparse_coding.omp import Counts, OmpCodes, omp_codes, omp_codes_with_mean
from trials.kernels.sparse_coding.penalty import MatchedPenalty, penalty_for_l0
from trials.kernels.sparse_coding.reconstruction import (
    DENSE_ABOVE,
    NEGLIGIBLE,
    CodeSizes,
    TokenErrors,
    code_sizes,
    fvu,
    fvu_by_group,
    nmse,
    reconstruct,
    token_errors,
    weighted_mean,
    without_negligible,
)
from trials.kernels.sparse_coding.whole_length import (
    GaussianModel,
    WholeLength,
    best_atom_step,
    gaussian_model,
    gaussian_whole_bits,
    whole_length,
)

__all__ = [
    "DENSE_ABOVE",
    "FINEST_HALVINGS",
    "FVU_CHANGE",
    "NEGLIGIBLE",
    "CodeSizes",
    "Counts",
    "ExactCodes",
    "GaussianModel",
    "LassoCodes",
    "MatchedPenalty",
    "OmpCodes",
    "Penalty",
    "Quantised",
    "TokenErrors",
    "WholeLength",
    "best_atom_step",
    "code_sizes",
    "coefficient_step",
    "critical_penalties",
    "debiased_codes",
    "duality_gap",
    "entropy_bits",
    "exact_codes",
    "fvu",
    "fvu_by_group",
    "gaussian_model",
    "gaussian_rate_bits",
    "gaussian_whole_bits",
    "lasso_codes",
    "lasso_path",
    "nmse",
    "omp_codes",
    "omp_codes_with_mean",
    "penalty_for_l0",
    "quantise",
    "reconstruct",
    "rounded",
    "token_errors",
    "weighted_mean",
    "whole_length",
    "without_negligible",
]
