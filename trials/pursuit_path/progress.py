"""The progress along a path on disk, so that a retry continues where the last attempt ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from trials.pursuit.learn import Learned
from trials.training.parts import save_arrays

Point = dict[str, Any]
"""A row of the table `path` or `checkpoints`."""

_FILE = "path.npz"


class Progress(NamedTuple):
    """The points of the path so far, the last dictionary and the best one by validation bits."""

    points: tuple[Point, ...] = ()
    last: Learned | None = None
    best: Learned | None = None


def save(folder: Path, identity: str, progress: Progress) -> None:
    """Write all of it or nothing; `identity` names the trial."""
    dictionaries = {"last": progress.last, "best": progress.best}
    learned = {name: value for name, value in dictionaries.items() if value is not None}
    header = {
        "identity": identity,
        "points": progress.points,
        "learned": {
            name: {k: v for k, v in value._asdict().items() if k != "atoms"}
            for name, value in learned.items()
        },
    }
    text = json.dumps(header, default=lambda number: number.item())
    arrays = {name: value.atoms for name, value in learned.items()} | {"header": np.array(text)}
    save_arrays(folder / _FILE, arrays)


def resume(folder: Path, identity: str) -> Progress:
    """What was saved; empty if there is no checkpoint or if it belongs to another trial."""
    if not (folder / _FILE).is_file():
        return Progress()
    with np.load(folder / _FILE, allow_pickle=False) as saved:
        header = json.loads(str(saved["header"]))
        if header["identity"] != identity:
            return Progress()
        learned = {
            name: Learned(atoms=saved[name], **rest) for name, rest in header["learned"].items()
        }
    return Progress(tuple(header["points"]), learned.get("last"), learned.get("best"))


def forget(folder: Path) -> None:
    """Remove the checkpoint after the trial has finished."""
    (folder / _FILE).unlink(missing_ok=True)
