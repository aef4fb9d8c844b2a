"""Bits per token of a code *with* its dictionary, and of a Gaussian code with its eigenbasis.

A decoder needs the atoms of a sparse code, and as much the eigenvectors of a Gaussian one. Each
side sends its directions with the precision that is best for it, and pays for them.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from trials.kernels.sparse_coding.description_length import entropy_bits
from trials.kernels.sparse_coding.reconstruction import fvu, reconstruct, token_errors

_STEPS = 2.0 ** -np.arange(-1.0, 9.5, 0.5)
"""Steps of the entries of unit vectors, in multiples of their root mean square, 1/sqrt(d_model)."""


class GaussianModel(NamedTuple):
    """What a decoder of a Gaussian code knows, or is sent.

    Attributes:
        eigenvalues: (d_model,) of the covariance, ascending.
        direction_bits: (n_steps,) bits of one eigenvector with its entries rounded to each of the
            steps, by the entropy of all rounded entries.
    """

    eigenvalues: Float[np.ndarray, " d_model"]
    direction_bits: Float[np.ndarray, " n_steps"]


class WholeLength(NamedTuple):
    """A sparse code with its dictionary, at the precision of the atoms that is best for it.

    Attributes:
        atom_bits: bits per entry of the dictionary.
        dictionary_bits: bits per token of the dictionary.
        fvu: with coefficients and atoms rounded.
        gaussian_bits: of a Gaussian code with its eigenbasis, bits per token, at that error.
    """

    atom_bits: float
    dictionary_bits: float
    fvu: float
    gaussian_bits: float


def gaussian_model(
    signals: Float[np.ndarray, "n_tokens d_model"],
    mean: Float[np.ndarray, " d_model"],
    weights: Float[np.ndarray, " n_weights"],
    *,
    tokens: Int[np.ndarray, " n_weights"] | None = None,
) -> GaussianModel:
    """Eigenvalues of the weighted covariance about `mean`, and the bits of an eigenvector.

    Pass `tokens` for some of the signals, one per weight: this saves a copy of them.
    """
    centred = signals.copy() if tokens is None else signals[tokens]
    centred -= mean.astype(signals.dtype)
    scatter = centred.T @ (centred * weights[:, None].astype(signals.dtype))
    eigenvalues, basis = np.linalg.eigh(scatter.astype(np.float64) / weights.sum())
    d_model = len(basis)
    bits = [d_model * entropy_bits(basis, step / d_model**0.5) for step in _STEPS]
    return GaussianModel(eigenvalues, np.array(bits))


def gaussian_whole_bits(model: GaussianModel, fvu: float, n_tokens: int) -> float:
    """Fewest bits per token of a Gaussian code with its basis, at the error `fvu`.

    The `m` components of largest variance are sent, the others are not: `min_{m, q} [sum_{j <= m}
    log2(l_j / theta) / 2 + m bits(q) / n_tokens]`, where the water level theta leaves the error D =
    fvu sum_j l_j: `m theta + (q^2 / 12) sum_{j <= m} (l_j - theta) + sum_{j > m} l_j = D`. The
    second term is the error that a basis rounded to the step q / sqrt(d_model) adds. The rate is
    the bound of Cover and Thomas (theorem 10.3.3), which no scalar quantiser reaches, so it is less
    than a Gaussian code would really take. 0 for fvu >= 1, infinite for fvu = 0 or where no
    precision is enough.
    """
    falling = np.maximum(model.eigenvalues[::-1], 0.0)
    target = fvu * falling.sum()
    if fvu >= 1 or falling[0] == 0:
        return 0.0
    if target <= 0:
        return float("inf")
    n_sent = np.arange(1, len(falling) + 1)[:, None]
    sent = np.cumsum(falling)[:, None]
    left = np.maximum(falling.sum() - sent, 0.0)
    noise = np.minimum(_STEPS**2 / 12, 0.5)
    level = (target - left - noise * sent) / (n_sent * (1 - noise))
    possible = (level > 0) & (level <= falling[:, None])
    safe = np.where(possible, level, 1.0)
    logs = np.cumsum(np.log2(np.maximum(falling, np.finfo(float).tiny)))[:, None]
    rate = 0.5 * (logs - n_sent * np.log2(safe))
    total = np.where(possible, rate + n_sent * model.direction_bits / n_tokens, np.inf)
    return float(total.min())


def whole_length(
    signals: Float[np.ndarray, "n_signals d_model"],
    codes: csr_array,
    atoms: Float[np.ndarray, "n_atoms d_model"],
    mean: Float[np.ndarray, " d_model"],
    weights: Float[np.ndarray, " n_signals"],
    *,
    model: GaussianModel,
    n_tokens: int,
    atom_step: float,
) -> WholeLength:
    """Lengths of dictionary and Gaussian code, with entries of unit atoms rounded to `atom_step`.

    `codes` are as they are sent, with rounded coefficients.
    """
    bits = entropy_bits(atoms, atom_step)
    rounded = (atom_step * np.rint(atoms / atom_step)).astype(atoms.dtype)
    error = fvu(token_errors(signals, reconstruct(codes, rounded), mean), weights)
    return WholeLength(
        bits, atoms.size * bits / n_tokens, error, gaussian_whole_bits(model, error, n_tokens)
    )


def best_atom_step(
    signals: Float[np.ndarray, "n_signals d_model"],
    codes: csr_array,
    atoms: Float[np.ndarray, "n_atoms d_model"],
    mean: Float[np.ndarray, " d_model"],
    weights: Float[np.ndarray, " n_signals"],
    *,
    model: GaussianModel,
    n_tokens: int,
) -> float:
    """The step of the atoms' entries at which dictionary minus Gaussian code is shortest.

    A coarser dictionary is shorter and leaves more error, at which the Gaussian code is shorter
    too. The difference of both is what the precision is worth.
    """

    def excess(step: float) -> float:
        found = whole_length(
            signals,
            codes,
            atoms,
            mean,
            weights,
            model=model,
            n_tokens=n_tokens,
            atom_step=step,
        )
        length = found.dictionary_bits - found.gaussian_bits
        return length if np.isfinite(length) else np.inf

    steps = _STEPS / atoms.shape[1] ** 0.5
    lengths = []
    for step in steps:
        lengths.append(excess(step))
        # Finer steps cost a fixed number of bits more each, and the error has settled.
        if len(lengths) > 4 and lengths[-1] > lengths[-2] > lengths[-3] > lengths[-4]:
            break
    return float(steps[int(np.argmin(lengths))])
