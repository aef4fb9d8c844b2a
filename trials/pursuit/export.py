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
    """The atoms as decoder, and matching pursuit in place of an encoder.

    Where codes are signed, the decoder is `[D; -D]`: codes of autoencoders are not negative.

    Raises:
        TrialError: the rows were not divided by one number.
    """
    learned = trial.arrays("dictionary")
    atoms = np.asarray(learned["atoms"], dtype=np.float64)
    what = f"{len(atoms)} atoms"
    if not trial.config.get("nonnegative", False):
        what = f"{what} and their negatives"
        atoms = np.concatenate([atoms, -atoms])
    unit = _unit(trial)
    n_atoms, d_model = atoms.shape
    n_steps = min(max(1, round(trial.metrics["l0_held_out"])), d_model)
    return ExportedAutoencoder(
        encoder=atoms,
        encoder_bias=np.zeros(n_atoms),
        decoder=atoms,
        decoder_bias=np.asarray(learned["offset"], dtype=np.float64),
        threshold=np.zeros(n_atoms),
        k=0,
        pursuit_steps=n_steps,
        description=f"The dictionary that pursuit learned: {what}.",
        caution="No encoder was trained: codes are found by pursuit, one problem per row. SAELens "
        f"runs {n_steps} steps of matching pursuit, as many as the trial's codes have atoms per "
        "held-out token in the mean. The trial's own codes come from a solver (LASSO at its "
        "penalty), so they differ, and so does the error. Codes are in the unit of the raw rows: "
        f"{unit:.6g} times those of the trial's scaled rows.",
        metadata=_metadata(trial.config),
    )


def folded(autoencoder: Autoencoder, trial: Finished, *, description: str) -> ExportedAutoencoder:
    """An autoencoder of centred and scaled rows as one of raw rows, with equal codes.

    Rows are `z = (x - offset) / divisor`. The offset goes into the decoder's bias, the divisor into
    both matrices.

    Raises:
        TrialError: every row has a divisor of its own.
    """
    offset, unit = np.asarray(trial.arrays("dictionary")["offset"], dtype=np.float64), _unit(trial)
    return ExportedAutoencoder(
        encoder=autoencoder.encoder / unit,
        encoder_bias=autoencoder.encoder_bias,
        decoder=autoencoder.atoms * unit,
        decoder_bias=autoencoder.decoder_bias * unit + offset,
        threshold=autoencoder.threshold,
        k=autoencoder.k,
        pursuit_steps=0,
        description=description,
        metadata=_metadata(trial.config),
    )


def _unit(trial: Finished) -> float:
    """What every row was divided by; TrialError where each row has a divisor of its own."""
    divisor = np.asarray(trial.arrays("tokens")["divisor"], dtype=np.float64)
    if np.ptp(divisor) > 1e-9 * divisor.max():
        raise TrialError(
            f"scale is {trial.config.get('scale')}: each row was divided by its own norm, which no "
            "linear encoder does; export a trial with scale mean_norm or none"
        )
    return float(divisor[0])


def _metadata(config: Mapping[str, Any]) -> dict[str, str]:
    """The model whose rows these are, if it is one of a hub and the rows are no null."""
    source = parse_uri(config["source"])
    if source.scheme != "hub" or source.tensor or config["null"] != "none":
        return {}
    return {"model_name": source.body, "hook_name": _EMBEDDING, "revision": source.revision}
