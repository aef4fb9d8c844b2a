"""What a trial has found so far, part by part, on disk: a retry goes on after the last part."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from trials.api import Context
from trials.inputs.cache import replacing

_NAME = "part-{name}-{digest}.npz"


class Parts:
    """The parts of one trial, each found once, whatever ends a try between them.

    Attributes:
        earlier_s: seconds that the parts took which an earlier try has left.
    """

    def __init__(self, context: Context, identity: str) -> None:
        """`identity` tells whose parts they are: those of another trial are not used."""
        self._context = context
        self._digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
        self._n_done = 0
        self._n_tokens = 0
        self.earlier_s = 0.0

    def part(
        self, name: str, n_tokens: int, find: Callable[[], Mapping[str, np.ndarray]]
    ) -> dict[str, np.ndarray]:
        """What an earlier try has left of this name, or what `find` gives, saved, then reported.

        `n_tokens` are the rows that are done with it.
        """
        name = _NAME.format(name=name, digest=self._digest)
        path = self._context.checkpoint_dir / name
        is_there = path.is_file()
        if not is_there:
            self.end_if_interrupted()
            started = time.perf_counter()
            found = find()
            save_arrays(path, {**found, "spent_s": np.array(time.perf_counter() - started)})
        with np.load(path, allow_pickle=False) as saved:
            arrays = dict(saved)
        spent_s = float(arrays.pop("spent_s"))
        self._n_done, self._n_tokens = self._n_done + 1, n_tokens
        if is_there:
            self.earlier_s += spent_s
        else:
            self._report()
        return arrays

    def end_if_interrupted(self) -> None:
        """Report what is saved, which ends the trial, if it must end."""
        if self._context.interrupted():
            self._report()

    def forget(self) -> None:
        """Remove the parts of a trial that is done."""
        for path in self._context.checkpoint_dir.glob(_NAME.format(name="*", digest="*")):
            path.unlink(missing_ok=True)

    def _report(self) -> None:
        self._context.report(self._n_done, {"n_tokens_tried": float(self._n_tokens)})


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an NPZ file, all of it or nothing."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
