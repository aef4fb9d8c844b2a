"""Loss as more and more rows are changed at once, until all are."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from trials.api import Table
from trials.inputs.models import LanguageModel
from trials.row_swap.damage import NewRows
from trials.row_swap.metrics import undefined
from trials.row_swap.model_and_text import Exposure
from trials.row_swap.stages import write_rows
from trials.training.parts import Parts


def more_and_more(
    parts: Parts, opened: LanguageModel, text: Exposure, order: np.ndarray, new: NewRows
) -> Table:
    """One row a number of changed rows: 0, 1, 2, 4 ... and all; the model ends with all changed.

    The loss at each number is a part of the trial.
    """
    base = torch.from_numpy(text.base)
    counts = [0, *(2**e for e in range(len(order).bit_length()) if 2**e < len(order)), len(order)]
    losses, done = [], 0
    for n in counts:
        added = np.arange(done, n)
        write_rows(opened, order[added], new.of(added))
        found = parts.part(f"loss-{n:07d}", n, lambda: {"loss": np.array(_loss(opened, base))})
        losses.append(float(found["loss"]))
        done = n
    return {"n_rows": counts, "loss": losses, "damage": [loss - losses[0] for loss in losses]}


def cumulative_metrics(table: Table) -> dict[str, float]:
    """Every metric but the time; those of the mode single are NaN."""
    return undefined() | {
        "rows_to_half": _rows_to_half(table),
        "damage_of_all_rows": float(table["damage"][-1]),
        "loss_before": float(table["loss"][0]),
        "n_tokens_tried": float(table["n_rows"][-1]),
    }


def _rows_to_half(table: Table) -> float:
    """Changed rows at which half of the damage of all is done, between counts by the logarithm."""
    damage, counts = np.array(table["damage"]), np.array(table["n_rows"], dtype=float)
    there = np.flatnonzero(damage >= damage[-1] / 2)
    if damage[-1] <= 0 or not len(there) or there[0] <= 1:
        return float("nan")
    i = int(there[0])
    share = (damage[-1] / 2 - damage[i - 1]) / (damage[i] - damage[i - 1])
    return float(np.exp(np.log(counts[i - 1]) * (1 - share) + np.log(counts[i]) * share))


def _loss(opened: LanguageModel, sequences: torch.Tensor) -> float:
    total = 0.0
    with torch.no_grad():
        for part in sequences.split(16):
            logits = opened.model(part[:, :-1]).logits
            targets = part[:, 1:].flatten()
            total += float(functional.cross_entropy(logits.flatten(0, 1), targets, reduction="sum"))
    return total / sequences[:, 1:].numel()
