"""The checkpoint of a training: written whole, and used by the same trial alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from trials.inputs.sources.cache import replacing
from trials.training.trainer import Trainer

_CHECKPOINT = "training.pt"


def save(trainer: Trainer, curve: Sequence[tuple[Any, ...]], folder: Path, identity: str) -> None:
    """Leave the state of a training and the points of its curve so far."""
    with replacing(folder / _CHECKPOINT) as temporary:
        state = {"trial": identity, "trainer": trainer.state(), "curve": list(map(tuple, curve))}
        torch.save(state, temporary)


def resume(trainer: Trainer, folder: Path, identity: str) -> list[tuple[Any, ...]]:
    """Restore what `save` left; the curve. A checkpoint of another identity is not this trial's."""
    if (folder / _CHECKPOINT).is_file():
        saved = torch.load(folder / _CHECKPOINT, map_location=trainer.device, weights_only=True)
        if saved["trial"] == identity:
            trainer.restore(saved["trainer"])
            return [tuple(values) for values in saved["curve"]]
    return []


def forget(folder: Path) -> None:
    """Remove the checkpoint of a trial that is done."""
    (folder / _CHECKPOINT).unlink(missing_ok=True)
