"""The autoencoder of a trial as one of raw rows."""

from __future__ import annotations

from trials.api import ExportedAutoencoder, Finished
from trials.kernels.dictionaries import Autoencoder
from trials.pursuit.export import folded


def exported(trial: Finished) -> ExportedAutoencoder:
    """The trained autoencoder, with the same codes.

    A batch_topk autoencoder codes with the threshold that it was measured with.

    Raises:
        TrialError: no linear encoder has the scale of the rows.
    """
    learned = trial.arrays("dictionary")
    architecture = trial.config["architecture"]
    autoencoder = Autoencoder(
        atoms=learned["atoms"],
        encoder=learned["encoder"],
        encoder_bias=learned["encoder_bias"],
        decoder_bias=learned["decoder_bias"],
        threshold=learned["threshold"],
        k=trial.config["k"] if architecture == "topk" else 0,
    )
    n_atoms = len(autoencoder.atoms)
    text = f"A sparse autoencoder with {n_atoms} atoms, trained as {architecture}."
    return folded(autoencoder, trial, description=text)
