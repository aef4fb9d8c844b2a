"""Bits that a sparse code costs, and the fewest that any code of a Gaussian could cost."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array
from scipy.special import gammaln

from trials.kernels.sparse_coding.reconstruction import fvu, reconstruct, token_errors

FVU_CHANGE = 0.01
"""Quantisation may raise the FVU by this share of itself."""

FINEST_HALVINGS = 24
"""Steps below 2^-24 of the largest value are lost in float32."""


class Quantised(NamedTuple):
    """A code as it would be sent.

    Attributes:
        fvu: fraction of variance unexplained with the quantised coefficients.
        token_bits: bits of each token: log2(1 + max_i s_i) for its number s_i of active atoms,
            log2 C(n_atoms, s_i) for which they are, s_i * coefficient_bits for their values.
        coefficient_bits: entropy of the quantised coefficients of all tokens, bits a coefficient.
    """

    fvu: float
    token_bits: Float[np.ndarray, " n_tokens"]
    coefficient_bits: float


def coefficient_step(
    signals: Float[np.ndarray, "n_tokens d_model"],
    codes: csr_array,
    atoms: Float[np.ndarray, "n_atoms d_model"],
    mean: Float[np.ndarray, " d_model"],
    weights: Float[np.ndarray, " n_tokens"],
) -> float:
    """The coarsest uniform step of the coefficients that raises the FVU by at most FVU_CHANGE."""

    def fvu_at(step: float) -> float:
        return _fvu(signals, rounded(codes, step), atoms, mean, weights)

    return _coarsest_step(fvu_at, float(np.abs(codes.data).max(initial=0.0)))


def quantise(
    signals: Float[np.ndarray, "n_tokens d_model"],
    codes: csr_array,
    atoms: Float[np.ndarray, "n_atoms d_model"],
    mean: Float[np.ndarray, " d_model"],
    weights: Float[np.ndarray, " n_tokens"],
    *,
    step: float,
) -> Quantised:
    """The codes rounded to multiples of `step`: their error and their length in bits.

    The histogram of the coefficients is taken as known to the decoder.
    """
    n_active = np.diff(codes.indptr).astype(np.float64)
    coefficient_bits = entropy_bits(codes.data, step)
    n_atoms = len(atoms)
    which = gammaln(n_atoms + 1) - gammaln(n_active + 1) - gammaln(n_atoms - n_active + 1)
    how_many = np.log2(1 + n_active.max(initial=0.0))
    return Quantised(
        fvu=_fvu(signals, rounded(codes, step), atoms, mean, weights),
        token_bits=how_many + which / np.log(2) + n_active * coefficient_bits,
        coefficient_bits=coefficient_bits,
    )


def gaussian_rate_bits(eigenvalues: Float[np.ndarray, " d_model"], fvu: float) -> float:
    """R(D) = sum_j max(0, log2(l_j / theta) / 2), with sum_j min(l_j, theta) = D = fvu sum_j l_j.

    The fewest bits per signal with which any code, of any length, can describe Gaussian signals of
    covariance eigenvalues `l_j` at a mean squared error D (reverse water filling; Cover and Thomas,
    Elements of Information Theory, theorem 10.3.3). 0 for fvu >= 1, infinite for fvu = 0.
    """
    rising = np.sort(np.maximum(eigenvalues, 0.0))
    target = fvu * rising.sum()
    if fvu >= 1 or rising[-1] == 0:
        return 0.0
    if target <= 0:
        return float("inf")
    below = np.concatenate([[0.0], np.cumsum(rising)])[:-1]
    n_above = np.arange(len(rising), 0, -1)
    # With the level at rising[i], the error is below[i] + n_above[i] * rising[i]: it rises with i.
    first_above = int(np.searchsorted(below + n_above * rising, target))
    level = (target - below[first_above]) / n_above[first_above]
    return float(0.5 * np.log2(rising[first_above:] / level).sum())


def _coarsest_step(fvu_at: Callable[[float], float], largest: float) -> float:
    """Halve from `largest` until the FVU is near enough, then narrow to within 10 %."""
    if largest == 0:
        return 1.0
    limit = (1 + FVU_CHANGE) * fvu_at(largest * 2.0**-FINEST_HALVINGS)
    halvings = 0.0
    while halvings < FINEST_HALVINGS and not fvu_at(largest * 2**-halvings) <= limit:
        halvings += 1
    for fraction in (0.5, 0.25, 0.125):
        coarser = halvings - fraction
        if fvu_at(largest * 2**-coarser) <= limit:
            halvings = coarser
    return float(largest * 2**-halvings)


def _fvu(
    signals: Float[np.ndarray, "n_tokens d_model"],
    codes: csr_array,
    atoms: Float[np.ndarray, "n_atoms d_model"],
    mean: Float[np.ndarray, " d_model"],
    weights: Float[np.ndarray, " n_tokens"],
) -> float:
    return fvu(token_errors(signals, reconstruct(codes, atoms), mean), weights)


def rounded(codes: csr_array, step: float) -> csr_array:
    """The codes with their coefficients rounded to multiples of `step`."""
    values = (step * np.rint(codes.data / step)).astype(codes.dtype)
    return csr_array((values, codes.indices, codes.indptr), shape=codes.shape)


def entropy_bits(values: Float[np.ndarray, "..."], step: float) -> float:
    """Entropy, bits per value, of the values rounded to multiples of `step`."""
    _, counts = np.unique(np.rint(values / step).astype(np.int64), return_counts=True)
    shares = counts / max(1, counts.sum())
    return float(-(shares * np.log2(shares)).sum()) + 0.0
