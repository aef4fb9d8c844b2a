"""Finished parts of a trial on disk, so that a retry continues after the last part."""

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
    """The parts of one trial. Each is computed once, however often the trial is interrupted.

    Attributes:
        earlier_s: seconds spent on the parts that were loaded from an earlier attempt.
    """

    def __init__(self, context: Context, identity: str) -> None:
        """`identity` names the trial. Parts of another trial are not used."""
        self._context = context
        self._digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
        self._n_done = 0
        self._n_tokens = 0
        self.earlier_s = 0.0

    def get_or_compute(
        self, name: str, n_tokens: int, compute: Callable[[], Mapping[str, np.ndarray]]
    ) -> dict[str, np.ndarray]:
        """Load the part of this name, or compute it with `compute`, save it, then report.

        `n_tokens` is the number of rows that are done once this part is done.
        """
        name = _NAME.format(name=name, digest=self._digest)
        path = self._context.checkpoint_dir / name
        is_there = path.is_file()
        if not is_there:
            self.end_if_interrupted()
            started = time.perf_counter()
            computed = compute()
            save_arrays(path, {**computed, "spent_s": np.array(time.perf_counter() - started)})
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
        """If the trial must end, report: the report raises, and all finished parts are saved."""
        if self._context.interrupted():
            self._report()

    def forget(self) -> None:
        """Remove the parts after the trial has finished."""
        for path in self._context.checkpoint_dir.glob(_NAME.format(name="*", digest="*")):
            path.unlink(missing_ok=True)

    def _report(self) -> None:
        self._context.report(self._n_done, {"n_tokens_tried": float(self._n_tokens)})


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an NPZ file, all of it or nothing."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
