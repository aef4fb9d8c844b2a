"""The dictionary of a trial as an autoencoder of raw rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from trials.api import ExportedAutoencoder, Finished, TrialError
from trials.inputs.sources.uri import parse_uri
from trials.kernels.dictionaries import Autoencoder

_EMBEDDING = "hook_embed"
"""What TransformerLens calls the rows of the embedding matrix of the tokens of a text."""


def exported(trial: Finished) -> ExportedAutoencoder:
    """The atoms as decoder, and their correlations above the penalty as codes.

    Where codes are signed, the decoder is `[D; -D]`: codes of autoencoders are not negative.

    Raises:
        TrialError: no linear encoder has the scale of the rows.
    """
    learned = trial.arrays("dictionary")
    atoms = np.asarray(learned["atoms"], dtype=np.float64)
    signed = not trial.config.get("nonnegative", False)
    if signed:
        atoms = np.concatenate([atoms, -atoms])
    n_atoms, d_model = atoms.shape
    penalty = trial.metrics["l1_penalty_absolute"]
    tied = Autoencoder(
        atoms=atoms,
        encoder=atoms,
        encoder_bias=np.zeros(n_atoms),
        decoder_bias=np.zeros(d_model),
        threshold=np.full(n_atoms, penalty),
        k=0,
    )
    atom_pairs = f"{n_atoms // 2} atoms and their negatives" if signed else f"{n_atoms} atoms"
    return folded(
        tied,
        trial,
        description=f"The dictionary that pursuit learned: {atom_pairs}.",
        caution="The codes of the trial were found by a solver (pursuit), one problem per row. No "
        "encoder was trained. The encoder here is the transposed decoder: a code is the "
        f"correlation of a row with an atom where that exceeds the penalty {penalty:.4g}. Its "
        "codes are neither as sparse nor as accurate as those of the trial, so its error is not "
        "the error in the table: use the decoder, and code rows with a solver.",
    )


def folded(
    autoencoder: Autoencoder, trial: Finished, *, description: str, caution: str = ""
) -> ExportedAutoencoder:
    """An autoencoder of centred and scaled rows as one of raw rows, with equal codes.

    Rows are `z = (x - offset) / divisor`. The offset goes into the decoder's bias, the divisor into
    both matrices.

    Raises:
        TrialError: every row has a divisor of its own.
    """
    offset = np.asarray(trial.arrays("dictionary")["offset"], dtype=np.float64)
    divisor = np.asarray(trial.arrays("tokens")["divisor"], dtype=np.float64)
    if np.ptp(divisor) > 1e-9 * divisor.max():
        raise TrialError(
            f"scale is {trial.config.get('scale')}: each row was divided by its own norm, which no "
            "linear encoder does; export a trial with scale mean_norm or none"
        )
    unit = float(divisor[0])
    return ExportedAutoencoder(
        encoder=autoencoder.encoder / unit,
        encoder_bias=autoencoder.encoder_bias,
        decoder=autoencoder.atoms * unit,
        decoder_bias=autoencoder.decoder_bias * unit + offset,
        threshold=autoencoder.threshold,
        k=autoencoder.k,
        description=description,
        caution=caution,
        metadata=_metadata(trial.config),
    )


def _metadata(config: Mapping[str, Any]) -> dict[str, str]:
    """The model whose rows these are, if it is one of a hub and the rows are no null."""
    source = parse_uri(config["source"])
    if source.scheme != "hub" or source.tensor or config["null"] != "none":
        return {}
    return {"model_name": source.body, "hook_name": _EMBEDDING, "revision": source.revision}
