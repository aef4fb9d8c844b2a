"""The metrics of the kind `pursuit_checkpoints`: the last checkpoint's, and how it was come to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from trials.api import Metric
from trials.pursuit.metrics import METRICS as OF_ONE

if TYPE_CHECKING:
    from trials.pursuit_path.progress import Point

REPORTS = ("excess_bits_validation", "fvu_validation", "l0_validation", "gap_max")
"""What is reported at each checkpoint."""

_SUMMED = ("solver_s", "learning_s")


def checkpoint_metrics(points: Sequence[Point]) -> dict[str, float]:
    """Every metric of the kind."""
    first, last = points[0], points[-1]
    checked = [point for point in points if np.isfinite(point["cold_passes"])]
    differences = [point["cold_minus_warm"] for point in checked]
    return {
        **{name: float(last[name]) for name in (m.name for m in OF_ONE)},
        **{name: sum(point[name] for point in points) for name in _SUMMED},
        "fvu_held_out_first": first["fvu_held_out"],
        "fvu_debiased_held_out_first": first["fvu_debiased_held_out"],
        "row_change_held_out": last["row_change_held_out"],
        "fvu_debiased_over_change_held_out": last["fvu_debiased_held_out"]
        - last["row_change_held_out"],
        "cold_minus_warm_held_out": differences[-1],
        "cold_minus_warm_held_out_mean": float(np.mean(differences)),
        "cold_minus_warm_held_out_largest": float(max(differences, key=abs)),
        "warm_passes": float(np.mean([point["passes"] for point in checked])),
        "cold_passes": float(np.mean([point["cold_passes"] for point in checked])),
        "certified_frac": float(np.mean([point["certified_frac"] for point in points])),
        "converged_frac": float(np.mean([point["learning_converged"] for point in points])),
        "n_checkpoints": float(len(points)),
        "n_distinct_checkpoints": float(len({point["rows_sha256"] for point in points})),
    }


_COLD = "fvu_held_out of a dictionary that was learned from a cold start minus that of the warm one"

METRICS = (
    *(metric for metric in OF_ONE if metric.name not in _SUMMED),
    Metric("fvu_held_out_first", "frac", "minimise", "fvu_held_out at the first checkpoint", True),
    Metric(
        "fvu_debiased_held_out_first",
        "frac",
        "minimise",
        "fvu_debiased_held_out at the first checkpoint",
        held_out=True,
    ),
    Metric(
        "row_change_held_out",
        "frac",
        "none",
        "sum_i w_i |x_i - x_i'|^2 / (2 sum_i w_i |x_i - mu|^2) over the held-out tokens, x' the "
        "rows of the checkpoint before the last, each centred and scaled; the noise of training "
        "where the two are adjacent and late, more where the rows still move",
        held_out=True,
    ),
    Metric(
        "fvu_debiased_over_change_held_out",
        "frac",
        "minimise",
        "fvu_debiased_held_out minus row_change_held_out",
        held_out=True,
    ),
    Metric(
        "cold_minus_warm_held_out",
        "frac",
        "none",
        f"{_COLD}, at the last checkpoint; above 0 where the warm start is the better one",
        held_out=True,
    ),
    Metric(
        "cold_minus_warm_held_out_mean",
        "frac",
        "none",
        "the same, mean over the checkpoints that were learned both ways",
        held_out=True,
    ),
    Metric(
        "cold_minus_warm_held_out_largest",
        "frac",
        "none",
        "the same, where it is furthest from 0",
        held_out=True,
    ),
    Metric(
        "warm_passes",
        "passes",
        "minimise",
        "passes over the training tokens from the warm start, calibration of the penalty included "
        "(those over a sample by its share), mean over the checkpoints learned both ways",
    ),
    Metric("cold_passes", "passes", "none", "the same from the cold start"),
    Metric(
        "certified_frac",
        "frac",
        "maximise",
        "codes with a gap of at most tolerance / codes, mean over the checkpoints",
    ),
    Metric(
        "converged_frac",
        "frac",
        "maximise",
        "checkpoints at which learning settled before max_passes / checkpoints",
    ),
    Metric("n_checkpoints", "checkpoints", "none", "checkpoints on the path"),
    Metric(
        "n_distinct_checkpoints",
        "checkpoints",
        "none",
        "different matrices among them; fewer than n_checkpoints where rows are frozen, or where a "
        "hub holds one checkpoint under the names of several",
    ),
    Metric(
        "solver_s",
        "s",
        "minimise",
        "wall time of coding all tokens, warm starts of all checkpoints",
        timing=True,
    ),
    Metric(
        "learning_s",
        "s",
        "minimise",
        "wall time of learning, warm starts of all checkpoints",
        timing=True,
    ),
)
