"""What a trial of the kind `sae` leaves besides its metrics: arrays, tables, figures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from trials.api import Table
from trials.inputs.rows import TokenRows
from trials.pursuit.artifacts import arrays as pursuit_arrays
from trials.sae.metrics import CODED
from trials.sae.solutions import Solution
from trials.sae.train import CURVE, Trained


def arrays(
    data: TokenRows, trained: Trained, solutions: Mapping[str, Solution]
) -> dict[str, dict[str, np.ndarray]]:
    """The autoencoder, its codes and per-token errors; the dictionary of full pursuit.

    `(embedding[token_id] - offset) / divisor` is near `codes @ atoms + decoder_bias`, and of
    pursuit near `codes @ atoms + mean`. Codes are those above `threshold`, and of the topk
    architecture the largest of them.
    """
    sae = solutions["sae"].coded
    found = pursuit_arrays(data, sae)
    found["dictionary"] |= {
        "encoder": trained.autoencoder.encoder,
        "encoder_bias": trained.autoencoder.encoder_bias,
        "decoder_bias": trained.autoencoder.decoder_bias,
        "threshold": trained.autoencoder.threshold,
    }
    for name in CODED[1:]:
        if name in solutions:
            left = solutions[name].coded.debiased_errors.error
            found["tokens"][f"{name}_debiased_squared_error"] = left
    if pursued := solutions.get("pursuit"):
        found["pursuit_dictionary"] = {
            "atoms": pursued.coded.atoms,
            "offset": data.offset,
            "mean": data.mean,
        }
    return found


def training_curve(trained: Trained) -> Table:
    """One row a report."""
    return dict(zip(CURVE, map(list, zip(*trained.curve, strict=True)), strict=True))


def figures(trained: Trained, metrics: Mapping[str, float]) -> dict[str, Figure]:
    """The training curve, and error against sparsity of the solutions."""
    curve = training_curve(trained)
    training = Figure(figsize=(5, 3.5), layout="constrained")
    axes = training.add_subplot(title="Training", xlabel="step", ylabel="FVU")
    axes.plot(curve["step"], curve["fvu_batches"], label="batches since the last report")
    axes.plot(curve["step"], curve["fvu_sae_validation"], label="validation tokens")
    axes.set_yscale("log")
    axes.legend()
    frontier = Figure(figsize=(5, 3.5), layout="constrained")
    axes = frontier.add_subplot(
        title="Held-out error at the autoencoder's sparsity", xlabel="l0", ylabel="FVU"
    )
    for name in CODED:
        of = "fvu" if name in ("sae", "omp") else "fvu_debiased"
        axes.plot(metrics[f"l0_{name}_held_out"], metrics[f"{of}_{name}_held_out"], "o", label=name)
    axes.legend()
    return {"training_curve": training, "frontier": frontier}
