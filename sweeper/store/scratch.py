"""Temporary folders on the local disk that are cleaned up even if their process is killed."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sweeper.store.file_system import flock, locks_exclude_all
from sweeper.store.lease import parse, this_process

_PREFIX = "sweeper-"
_LOCK = "in-use"


@contextmanager
def scratch_folder(purpose: str, base: Path | None = None) -> Iterator[Path]:
    """A new folder `sweeper-PURPOSE-...` below `base` (by default the temporary folder).

    It is removed at the end. First, folders that killed processes left there are removed, whatever
    their purpose: a process holds a lock on the file `in-use` in its folder as long as it lives.
    """
    base = base or Path(tempfile.gettempdir())
    for left in base.glob(f"{_PREFIX}*"):
        _remove_if_left(left)
    prefix = f"{_PREFIX}{purpose}-"
    with tempfile.TemporaryDirectory(prefix=prefix, dir=base, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with (folder / "new").open("w") as lock:
            lock.write(this_process().model_dump_json())
            lock.flush()
            with suppress(OSError):  # a file system without locks
                fcntl.flock(lock, fcntl.LOCK_EX)
            (folder / "new").rename(folder / _LOCK)  # so that no other process sees it unlocked
            yield folder


def _remove_if_left(folder: Path) -> None:
    """Remove a folder whose process has died: its lock is free (if locks can be trusted)."""
    path = folder / _LOCK
    with suppress(OSError), path.open("r+") as lock:
        is_free = flock(lock.fileno()) and locks_exclude_all(path)
        if is_free or parse(lock.read()).has_died:
            shutil.rmtree(folder, ignore_errors=True)
