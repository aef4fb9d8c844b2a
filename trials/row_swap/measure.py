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

Course = dict[int, dict[str, Damage]]
"""Damage of every token after each measured step, by side."""


def all_metrics(
    text: dict[str, Exposure],
    start: dict[str, Damage],
    last: dict[str, Damage],
    course: Course,
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
    """Zero where nothing was learned, whatever the signs; NaN where no damage was done."""
    total = float(start.sum())
    return 1 - float(now.sum()) / total if total > 0 else float("nan")


def _steps_to_90(start: np.ndarray, course: Course) -> float:
    for step in sorted(course):
        if step and _recovered(start, course[step]["validation"].overall) >= 0.9:
            return float(step)
    return float("nan")


def _mean_loss(before: Original, text: Exposure) -> float:
    """Over the sequences of the tokens, each with its own weight in all text."""
    with torch.no_grad():
        losses = [
            float(-before.head.logits(h).log_softmax(-1).gather(-1, torch.from_numpy(s)).mean())
            for h, s in zip(before.hidden, (s[:, 1:, None] for s in text.sequences), strict=True)
        ]
    return float(np.mean(losses))
