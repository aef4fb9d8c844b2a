"""From the trained autoencoder and the solutions to metrics, arrays, tables and figures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from trials.api import Table
from trials.inputs.rows import TokenRows
from trials.kernels.dictionaries import mean_max_cosine
from trials.pursuit.artifacts import arrays as pursuit_arrays
from trials.pursuit.measure import (
    debiased_of,
    description,
    dictionary_metrics,
    gap_metrics,
    memorises,
    row_counts,
    side_metrics,
    training_spectrum,
)
from trials.pursuit.sides import SIDES
from trials.sae.metrics import BITS, CERTIFIED, CODED, DICTIONARIES, METRICS, measured
from trials.sae.solutions import Solution
from trials.sae.train import CURVE, Trained


def measure(
    data: TokenRows, trained: Trained, solutions: Mapping[str, Solution]
) -> dict[str, float]:
    """Every metric of the kind; NaN for missing solutions."""
    metrics: dict[str, float] = {}
    for name in CODED:
        solution = solutions.get(name)
        metrics |= _coded(name, solution) if solution else _undefined(name)
    for side in SIDES:
        sae, exact = metrics[f"fvu_sae_{side}"], metrics[f"fvu_debiased_exact_{side}"]
        metrics |= {
            f"amortisation_gap_{side}": sae - exact,
            f"amortisation_gap_omp_{side}": sae - metrics[f"fvu_omp_{side}"],
            f"dictionary_gap_{side}": exact - metrics[f"fvu_debiased_pursuit_{side}"],
        }
    pursued = solutions.get("pursuit")
    atoms = solutions["sae"].coded.atoms
    return {
        **metrics,
        **row_counts(data),
        "mmcs_sae_pursuit": mean_max_cosine(atoms, pursued.coded.atoms) if pursued else np.nan,
        "n_atoms_resolved": float(len(atoms)),
        "fvu_batches": trained.curve[-1][1],
        "training_s": trained.training_s,
    }


def _coded(name: str, solution: Solution) -> dict[str, float]:
    data, coded = solution.data, solution.coded
    metrics: dict[str, float] = {f"coding_s_{name}": coded.solver_s}
    by_side = {side: side_metrics(data, coded, getattr(data.split, side)) for side in SIDES}
    for side, values in by_side.items():
        metrics |= {f"{of}_{name}_{side}": values[of] for of in measured(name)}
    bits = description(
        data, coded.atoms, debiased_of(data, coded), spectrum=training_spectrum(data)
    )
    metrics |= {f"{of}_{name}_{side}": bits[f"{of}_{side}"] for of, side in BITS}
    if name in DICTIONARIES:
        metrics |= {f"{of}_{name}": value for of, value in dictionary_metrics(data, coded).items()}
        metrics[f"memorises_{name}"] = memorises(
            by_side["train"]["fvu_debiased_unweighted"],
            by_side["validation"]["fvu_debiased_unweighted"],
            metrics[f"memorised_frac_{name}"],
        )
    if name in CERTIFIED:
        metrics |= {f"{of}_{name}": value for of, value in gap_metrics(coded.gap).items()}
        metrics[f"l1_penalty_{name}"] = solution.l1_penalty
    return metrics


def _undefined(name: str) -> dict[str, float]:
    with_name = (m.name for m in METRICS if name in m.name.split("_"))
    return dict.fromkeys(with_name, float("nan"))


def arrays(
    data: TokenRows, trained: Trained, solutions: Mapping[str, Solution]
) -> dict[str, dict[str, np.ndarray]]:
    """The autoencoder, its codes and per-token errors; the dictionary of full pursuit.

    `(embedding[token_id] - offset) / divisor` is approximately `codes @ atoms + decoder_bias`,
    and `codes @ atoms + mean` for pursuit. Codes are those above `threshold`; for the topk
    architecture, the largest of them.
    """
    sae = solutions["sae"].coded
    tensors = pursuit_arrays(data, sae)
    tensors["dictionary"] |= {
        "encoder": trained.autoencoder.encoder,
        "encoder_bias": trained.autoencoder.encoder_bias,
        "decoder_bias": trained.autoencoder.decoder_bias,
        "threshold": trained.autoencoder.threshold,
    }
    for name in CODED[1:]:
        if name in solutions:
            left = solutions[name].coded.debiased_errors.error
            tensors["tokens"][f"{name}_debiased_squared_error"] = left
    if pursued := solutions.get("pursuit"):
        tensors["pursuit_dictionary"] = {
            "atoms": pursued.coded.atoms,
            "offset": data.offset,
            "mean": data.mean,
        }
    return tensors


def training_curve(trained: Trained) -> Table:
    """One row per report."""
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
