"""A trial of kind pretrain that is over in a second, and what a trial leaves in the store."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.numpy import save_file

from trials.api import Context, TrialResult
from trials.pretrain.kind import KIND

TEXT = {"n_vocab": 300, "validation_frac": 0.1, "held_out_frac": 0.1}
TINY = {
    **TEXT,
    "tying": "untied",
    "n_layers": 1,
    "n_heads": 2,
    "d_model": 32,
    "context": 16,
    "n_tokens": 25_600,
    "batch_size": 16,
    "warm_up_steps": 5,
    "learning_rate": 0.01,
    "n_evaluations": 1,
    "keep_model": True,
}


def train(folder: Path, **changes: Any) -> TrialResult:
    """Train a model; its artifacts lie in the folder then."""
    context = Context("cpu", 1, folder, folder, lambda step, metrics: None, fetch_from(folder))
    result = KIND.execute(KIND.config.model_validate({**TINY, **changes}), context)
    leave(folder, result)
    return result


def leave(folder: Path, result: TrialResult) -> None:
    """Write the artifacts of a trial as whatever runs trials does."""
    for stem, tensors in result.arrays.items():
        save_file(dict(tensors), folder / f"{stem}.safetensors")
    for stem, table in result.tables.items():
        with (folder / f"{stem}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([list(table), *zip(*table.values(), strict=True)])


def fetch_from(folder: Path, run_id: str = "tiny") -> Callable[[str, str], Path]:
    """The artifacts in a folder as those of a run, and no others."""

    def fetch(asked: str, path: str) -> Path:
        if asked != run_id or not (folder / path).is_file():
            raise FileNotFoundError(f"{asked}/{path}")
        return folder / path

    return fetch
