"""Sparse codes of given signals over a given dictionary, each with its certificate.

`lasso` (working sets on the CPU, ADMM on GPUs and for dense codes), `omp` (greedy), `exact` (no
error at all). `penalty` finds the penalty for a wanted sparsity. `reconstruction` and
`description_length` measure codes: error in float64, bits. `checks` is what all coders refuse.
Start with `lasso_codes`.
"""

from trials.kernels.sparse_coding.certificate import duality_gap
from trials.kernels.sparse_coding.checks import Penalty
from trials.kernels.sparse_coding.description_length import (
    FINEST_HALVINGS,
    FVU_CHANGE,
    Quantised,
    atom_bits,
    coefficient_step,
    covariance_eigenvalues,
    gaussian_rate_bits,
    quantise,
)
from trials.kernels.sparse_coding.exact import ExactCodes, exact_codes
from trials.kernels.sparse_coding.lasso import (
    LassoCodes,
    critical_penalties,
    debiased_codes,
    lasso_codes,
    lasso_path,
)
from trials.kernels.sparse_coding.omp import Counts, OmpCodes, omp_codes
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

__all__ = [
    "DENSE_ABOVE",
    "FINEST_HALVINGS",
    "FVU_CHANGE",
    "NEGLIGIBLE",
    "CodeSizes",
    "Counts",
    "ExactCodes",
    "LassoCodes",
    "MatchedPenalty",
    "OmpCodes",
    "Penalty",
    "Quantised",
    "TokenErrors",
    "atom_bits",
    "code_sizes",
    "coefficient_step",
    "covariance_eigenvalues",
    "critical_penalties",
    "debiased_codes",
    "duality_gap",
    "exact_codes",
    "fvu",
    "fvu_by_group",
    "gaussian_rate_bits",
    "lasso_codes",
    "lasso_path",
    "nmse",
    "omp_codes",
    "penalty_for_l0",
    "quantise",
    "reconstruct",
    "token_errors",
    "weighted_mean",
    "without_negligible",
]
