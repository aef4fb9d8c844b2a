"""Sparse autoencoders: codes from one matrix product and a threshold, without a solver."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

Architecture = Literal["topk", "batch_topk", "relu", "jumprelu"]

_BLOCK = 4096


class Sparsity(NamedTuple):
    """What keeps the codes of an autoencoder sparse while it is trained.

    Attributes:
        architecture: topk keeps the `k` largest activations of a row (Gao et al. 2024,
            arXiv:2406.04093); batch_topk the `k * n_rows` largest of a batch (Bussmann et al.
            2024, arXiv:2412.06410); relu adds `penalty * |code|_1` to the loss (Bricken et al.
            2023); jumprelu adds `penalty * |code|_0` and learns a threshold for each atom
            (Rajamanoharan et al. 2024, arXiv:2407.14435).
        k: of topk and batch_topk.
        penalty: of relu and jumprelu, for rows of variance 1 (mean squared distance from their
            mean).
        bandwidth: of jumprelu, in the same unit: thresholds learn from activations that are at
            most half of it away.
    """

    architecture: Architecture
    k: int = 0
    penalty: float = 0.0
    bandwidth: float = 0.0


class Autoencoder(NamedTuple):
    """A trained encoder and decoder; codes are never negative.

    The activations of a row x are `encoder @ (x - decoder_bias) + encoder_bias`, its code those
    above `threshold` (with `k` above 0, of the k largest), and its reconstruction
    `codes @ atoms + decoder_bias`.

    Attributes:
        atoms: (n_atoms, d_model), rows of unit norm.
        encoder: (n_atoms, d_model).
        encoder_bias, threshold: (n_atoms,); no threshold is negative.
        decoder_bias: (d_model,).
        k: 0 where the thresholds alone decide.
    """

    atoms: Float[np.ndarray, "n_atoms d_model"]
    encoder: Float[np.ndarray, "n_atoms d_model"]
    encoder_bias: Float[np.ndarray, " n_atoms"]
    decoder_bias: Float[np.ndarray, " d_model"]
    threshold: Float[np.ndarray, " n_atoms"]
    k: int


def encode(autoencoder: Autoencoder, signals: Float[np.ndarray, "n_signals d_model"]) -> csr_array:
    """Codes of every signal, (n_signals, n_atoms), in the type of the signals."""
    columns, values, lengths = [], [], []
    encoder = np.ascontiguousarray(autoencoder.encoder.T, dtype=signals.dtype)
    for start in range(0, len(signals), _BLOCK):
        centred = signals[start : start + _BLOCK] - autoencoder.decoder_bias
        activations = centred.astype(signals.dtype) @ encoder + autoencoder.encoder_bias
        active = activations > autoencoder.threshold
        if 0 < autoencoder.k < activations.shape[1]:
            smaller = np.argpartition(-activations, autoencoder.k - 1, axis=1)[:, autoencoder.k :]
            np.put_along_axis(active, smaller, False, axis=1)
        columns.append(np.nonzero(active)[1])
        values.append(activations[active].astype(signals.dtype))
        lengths.append(active.sum(axis=1))
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    shape = (len(signals), len(autoencoder.atoms))
    return csr_array((np.concatenate(values), np.concatenate(columns), indptr), shape=shape)
