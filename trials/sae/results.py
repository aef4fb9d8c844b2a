"""The metrics of the kind `sae`: the same measures for each way of coding the tokens."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from trials.inputs.rows import TokenRows
from trials.kernels.dictionaries import mean_max_cosine
from trials.pursuit.measure import (
    description,
    dictionary_metrics,
    gap_metrics,
    memorises,
    row_counts,
    side_metrics,
)
from trials.pursuit.metrics import SIDES
from trials.sae.metrics import BITS, CERTIFIED, CODED, DICTIONARIES, METRICS, measured
from trials.sae.solutions import Solution
from trials.sae.train import Trained


def measure(
    data: TokenRows, trained: Trained, solutions: Mapping[str, Solution]
) -> dict[str, float]:
    """Every metric of the kind; NaN for solutions that are not there."""
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
    found = {side: side_metrics(data, coded, getattr(data.split, side)) for side in SIDES}
    for side, values in found.items():
        metrics |= {f"{of}_{name}_{side}": values[of] for of in measured(name)}
    bits = description(data, coded)
    metrics |= {f"{of}_{name}_{side}": bits[f"{of}_{side}"] for of, side in BITS}
    if name in DICTIONARIES:
        metrics |= {f"{of}_{name}": value for of, value in dictionary_metrics(data, coded).items()}
        metrics[f"memorises_{name}"] = memorises(
            found["train"]["fvu_debiased_unweighted"],
            found["validation"]["fvu_debiased_unweighted"],
            metrics[f"memorised_frac_{name}"],
        )
    if name in CERTIFIED:
        metrics |= {f"{of}_{name}": value for of, value in gap_metrics(coded.gap).items()}
        metrics[f"l1_penalty_{name}"] = solution.l1_penalty
    return metrics


def _undefined(name: str) -> dict[str, float]:
    with_name = (m.name for m in METRICS if name in m.name.split("_"))
    return dict.fromkeys(with_name, float("nan"))
