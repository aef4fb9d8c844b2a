"""How well sparse codes reconstruct signals: ratios of sums over tokens, summed in float64."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

DENSE_ABOVE = 0.01
"""Share of non-zeros above which a dense product of blocks beats a sparse one (BLAS does about a
hundred times more multiplications a second than a sparse row loop)."""

NEGLIGIBLE = 1e-6
"""A coefficient counts as active when its size exceeds this share of its signal's norm."""


class TokenErrors(NamedTuple):
    """The error of the reconstruction of every token.

    Attributes:
        error: squared distance of the signal from its reconstruction.
        variance: squared distance of the signal from the mean.
        cosine: cosine between signal and reconstruction, both about the mean (0 where either
            vanishes).
    """

    error: Float[np.ndarray, " n_tokens"]
    variance: Float[np.ndarray, " n_tokens"]
    cosine: Float[np.ndarray, " n_tokens"]


def reconstruct(
    codes: csr_array, atoms: Float[np.ndarray, "n_atoms d_model"]
) -> Float[np.ndarray, "n_tokens d_model"]:
    """`codes @ atoms`, by the faster of a sparse and a blocked dense product."""
    n_tokens, n_atoms = codes.shape
    if codes.nnz < DENSE_ABOVE * n_tokens * n_atoms:
        return codes @ atoms
    result = np.empty((n_tokens, atoms.shape[1]), dtype=np.result_type(codes.dtype, atoms.dtype))
    block = max(1, 2**22 // n_atoms)
    for start in range(0, n_tokens, block):
        result[start : start + block] = codes[start : start + block].toarray() @ atoms
    return result


def token_errors(
    signals: Float[np.ndarray, "n_tokens d_model"],
    reconstruction: Float[np.ndarray, "n_tokens d_model"],
    mean: Float[np.ndarray, " d_model"],
) -> TokenErrors:
    """Per-token squared error, squared distance from `mean`, and cosine about `mean`."""
    error, variance, product, length = (np.empty(len(signals)) for _ in range(4))
    block = 4096
    for start in range(0, len(signals), block):
        here = slice(start, start + block)
        centred = signals[here].astype(np.float64) - mean
        fitted = reconstruction[here].astype(np.float64) - mean
        error[here] = _row_products(centred - fitted, centred - fitted)
        variance[here] = _row_products(centred, centred)
        product[here] = _row_products(centred, fitted)
        length[here] = _row_products(fitted, fitted)
    norms = np.sqrt(variance * length)
    cosine = np.divide(product, norms, out=np.zeros_like(product), where=norms > 0)
    return TokenErrors(error, variance, cosine)


def fvu(errors: TokenErrors, weights: Float[np.ndarray, " n_tokens"]) -> float:
    """Fraction of variance unexplained: sum_i w_i |x_i - xhat_i|^2 / sum_i w_i |x_i - mean|^2.

    NaN where nothing varies.
    """
    return _ratio(weights @ errors.error, weights @ errors.variance)


def nmse(errors: TokenErrors, weights: Float[np.ndarray, " n_tokens"]) -> float:
    """Weighted mean of |x_i - xhat_i|^2 / |x_i - mean|^2 over the tokens that are not the mean."""
    varies = errors.variance > 0
    ratios = errors.error[varies] / errors.variance[varies]
    return weighted_mean(ratios, weights[varies])


def fvu_by_group(
    errors: TokenErrors,
    weights: Float[np.ndarray, " n_tokens"],
    groups: Int[np.ndarray, " n_tokens"],
    *,
    n_groups: int,
) -> Float[np.ndarray, " n_groups"]:
    """The FVU within each group of tokens; NaN for an empty group."""
    left = np.bincount(groups, weights * errors.error, minlength=n_groups)
    total = np.bincount(groups, weights * errors.variance, minlength=n_groups)
    return np.divide(left, total, out=np.full(n_groups, np.nan), where=total > 0)


def weighted_mean(
    values: Float[np.ndarray, " n_tokens"], weights: Float[np.ndarray, " n_tokens"]
) -> float:
    """sum_i w_i v_i / sum_i w_i; NaN without weight."""
    return _ratio(weights @ values, weights.sum())


def without_negligible(codes: csr_array, norms: Float[np.ndarray, " n_tokens"]) -> csr_array:
    """The codes without coefficients of size at most `NEGLIGIBLE` times their signal's norm."""
    floor = np.repeat(NEGLIGIBLE * norms, np.diff(codes.indptr))
    kept = codes.copy()
    kept.data[np.abs(kept.data) <= floor] = 0
    kept.eliminate_zeros()
    return kept


class CodeSizes(NamedTuple):
    """How many atoms each token uses.

    Attributes:
        l0: non-zero coefficients.
        l1: sum of absolute coefficients.
        participation: (sum |a|)^2 / sum a^2, the l0 of an equally spread code; 0 for an empty one.
    """

    l0: Float[np.ndarray, " n_tokens"]
    l1: Float[np.ndarray, " n_tokens"]
    participation: Float[np.ndarray, " n_tokens"]


def code_sizes(codes: csr_array) -> CodeSizes:
    """Per-token l0, l1 and participation ratio."""
    l0 = np.diff(codes.indptr).astype(np.float64)
    sizes = abs(codes).astype(np.float64)
    l1 = np.asarray(sizes.sum(axis=1))
    l2_squared = np.asarray(sizes.power(2).sum(axis=1))
    participation = np.divide(l1**2, l2_squared, out=np.zeros_like(l1), where=l2_squared > 0)
    return CodeSizes(l0, l1, participation)


def _row_products(
    left: Float[np.ndarray, "n d_model"], right: Float[np.ndarray, "n d_model"]
) -> Float[np.ndarray, " n"]:
    return np.einsum("ij,ij->i", left, right)


def _ratio(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator > 0 else float("nan")
