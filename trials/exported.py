"""What a kind says of the dictionary that a complete trial left; part of the contract in `api`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np


class Finished(NamedTuple):
    """A complete trial, as far as a kind needs it to say what it left.

    Attributes:
        config: the resolved config.
        arrays: `arrays(stem)`, the tensors of one of its artifacts by name.
    """

    config: Mapping[str, Any]
    metrics: Mapping[str, float]
    arrays: Callable[[str], Mapping[str, np.ndarray]]


class ExportedAutoencoder(NamedTuple):
    """A dictionary as an autoencoder of raw rows, for programs that load sparse autoencoders.

    The activations of a row x are `(x - decoder_bias) @ encoder.T + encoder_bias`. Its codes are
    those above `threshold`; with `k` above 0, the positive ones of the k largest. With
    `pursuit_steps` above 0, its codes are those of that many steps of matching pursuit (Mallat and
    Zhang 1993) on `x - decoder_bias` over the decoder, whose rows then have unit norm; no step adds
    a negative code. Its reconstruction is `codes @ decoder + decoder_bias`.

    Attributes:
        encoder, decoder: (n_atoms, d_model).
        encoder_bias, threshold: (n_atoms,); no threshold is negative.
        decoder_bias: (d_model,).
        k: 0 where the thresholds alone decide.
        pursuit_steps: 0 where the encoder codes.
        description: one sentence on what it is.
        caution: how its codes differ from those of the trial; "" if they are the same.
        metadata: what other programs may ask: `model_name`, `hook_name`.
    """

    encoder: np.ndarray
    encoder_bias: np.ndarray
    decoder: np.ndarray
    decoder_bias: np.ndarray
    threshold: np.ndarray
    k: int
    pursuit_steps: int
    description: str
    caution: str = ""
    metadata: Mapping[str, str] = {}
