"""From what was measured of each token to the metrics of a trial."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from trials.row_swap.damage import Damage, Original
from trials.row_swap.metrics import MEASURED, SIDES, undefined
from trials.row_swap.model_and_text import Exposure

_FIELD = {
    "damage_overall": "overall",
    "damage_as_input": "as_input",
    "damage_as_target": "as_target",
    "kl": "kl",
}
_N_RESAMPLES = 2000

Course = dict[int, dict[str, Damage]]
"""Damage of every token after each measured step, by side."""


class Measured(NamedTuple):
    """What was measured of every token.

    Attributes:
        text: by side.
        before: the model as it was, by side.
        start: damage before anything is trained, by side.
        course: empty where nothing is trained.
        cosines: of the rows at the end with the original ones.
    """

    text: dict[str, Exposure]
    before: dict[str, Original]
    start: dict[str, Damage]
    course: Course
    cosines: np.ndarray

    @property
    def last(self) -> dict[str, Damage]:
        """Damage at the end, by side."""
        return self.course[max(self.course)] if self.course else self.start


def row_cosines(rows: np.ndarray, old: np.ndarray) -> np.ndarray:
    """Mean over the matrices of the cosine of a token's row with what it was."""
    lengths = np.linalg.norm(rows, axis=2) * np.linalg.norm(old, axis=2)
    products = (rows * old).sum(axis=2)
    cosines: np.ndarray = np.divide(
        products, lengths, out=np.zeros(lengths.shape), where=lengths > 0
    )
    mean: np.ndarray = cosines.mean(axis=1)
    return mean


def all_metrics(found: Measured) -> dict[str, float]:
    """Every metric but the time and the importance; those of the mode cumulative are NaN."""
    text, start, course = found.text, found.start, found.course
    metrics = undefined()
    for side in SIDES:
        for name in MEASURED:
            values = getattr(start[side], _FIELD[name])
            if np.isfinite(values).any():
                metrics[f"{name}_{side}"] = float(np.nanmean(values))
        if course:
            metrics[f"recovered_frac_{side}"] = _recovered(
                start[side].overall, found.last[side].overall
            )
    held_out, stratum = start["held_out"].overall, text["held_out"].stratum
    draws = np.random.default_rng(0).integers(len(held_out), size=(_N_RESAMPLES, len(held_out)))
    low, high = np.quantile(held_out[draws].mean(axis=1), [0.025, 0.975])
    return metrics | {
        "damage_overall_held_out_low": float(low),
        "damage_overall_held_out_high": float(high),
        "damage_overall_frequent_held_out": float(held_out[stratum == stratum.min()].mean()),
        "damage_overall_rare_held_out": float(held_out[stratum == stratum.max()].mean()),
        "steps_to_90": _steps_to_90(start["validation"].overall, course),
        "row_cosine": float(found.cosines.mean()),
        "loss_before": _mean_loss(found.before["validation"], text["validation"]),
        "n_tokens_tried": float(len(found.cosines)),
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
