"""From what was measured of each token to the metrics of a trial."""

from __future__ import annotations

import numpy as np
import torch

from trials.row_swap.damage import Damage, Original
from trials.row_swap.exposure import Exposure
from trials.row_swap.metrics import MEASURED, METRICS

_SIDES = ("validation", "held_out")
_FIELD = {
    "damage_overall": "overall",
    "damage_as_input": "as_input",
    "damage_as_target": "as_target",
    "kl": "kl",
}
_N_RESAMPLES = 2000


def all_metrics(
    text: dict[str, Exposure],
    start: dict[str, Damage],
    last: dict[str, Damage],
    course: dict[int, dict[str, list[float]]],
    cosines: np.ndarray,
    before: dict[str, Original],
) -> dict[str, float]:
    """Every metric but the time; those of the mode cumulative are NaN."""
    metrics = dict.fromkeys((metric.name for metric in METRICS), float("nan"))
    for side in _SIDES:
        for name in MEASURED:
            values = getattr(start[side], _FIELD[name])
            if np.isfinite(values).any():
                metrics[f"{name}_{side}"] = float(np.nanmean(values))
        if course:
            metrics[f"recovered_frac_{side}"] = _recovered(start[side].overall, last[side].overall)
    held_out, stratum = start["held_out"].overall, text["held_out"].stratum
    draws = np.random.default_rng(0).integers(len(held_out), size=(_N_RESAMPLES, len(held_out)))
    low, high = np.quantile(held_out[draws].mean(axis=1), [0.025, 0.975])
    return metrics | {
        "damage_overall_held_out_low": float(low),
        "damage_overall_held_out_high": float(high),
        "damage_overall_frequent_held_out": float(held_out[stratum == stratum.min()].mean()),
        "damage_overall_rare_held_out": float(held_out[stratum == stratum.max()].mean()),
        "steps_to_90": _steps_to_90(start["validation"].overall, course),
        "row_cosine": float(cosines.mean()),
        "loss_before": _mean_loss(before["validation"], text["validation"]),
        "n_tokens_tried": float(len(cosines)),
    }


def _recovered(start: np.ndarray, now: np.ndarray) -> float:
    """What is left is counted by its size: a model that has got better is no worse for it."""
    total = float(np.abs(start).sum())
    return 1 - float(np.maximum(now, 0).sum()) / total if total > 0 else float("nan")


def _steps_to_90(start: np.ndarray, course: dict[int, dict[str, list[float]]]) -> float:
    for step in sorted(course):
        if step and _recovered(start, np.array(course[step]["validation"])) >= 0.9:
            return float(step)
    return float("nan")


def _mean_loss(before: Original, text: Exposure) -> float:
    """Over the sequences of the tokens, each with its own weight in all text."""
    losses = [
        float(-p.gather(-1, torch.from_numpy(s[:, 1:, None])).mean())
        for p, s in zip(before.log_probabilities, text.sequences, strict=True)
    ]
    return float(np.mean(losses))
