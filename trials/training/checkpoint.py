"""The checkpoint of a training. It is written whole, and only the same trial uses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from trials.inputs.cache import replacing

_CHECKPOINT = "training.pt"


@runtime_checkable
class Resumable(Protocol):
    """A trainer that can hand out its state and continue from it."""

    def state(self) -> dict[str, Any]:
        """What `torch.save` stores."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a `state` of a trainer with the same arguments."""
        ...


def save(trainer: Resumable, folder: Path, identity: str, **progress: Any) -> None:
    """Store the state of a training and its progress so far, such as the loss curve.

    `identity` names the trial: its config and, where there is a text, the digest of the text.
    """
    with replacing(folder / _CHECKPOINT) as temporary:
        torch.save({"trial": identity, "trainer": trainer.state()} | progress, temporary)


def resume(
    trainer: Resumable, folder: Path, identity: str, device: str | torch.device = "cpu"
) -> dict[str, Any]:
    """Restore the trainer and return its progress; {} without a checkpoint of this trial."""
    if not (folder / _CHECKPOINT).is_file():
        return {}
    saved = torch.load(folder / _CHECKPOINT, map_location=device, weights_only=True)
    if saved.pop("trial") != identity:
        return {}
    trainer.restore(saved.pop("trainer"))
    return dict(saved)


def forget(folder: Path) -> None:
    """Remove the checkpoint after the trial has finished."""
    (folder / _CHECKPOINT).unlink(missing_ok=True)
