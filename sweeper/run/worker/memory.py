"""A limit on the memory of a worker process, watched from inside."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_LOOK_EVERY_S = 0.2


@contextmanager
def memory_limit(limit_gib: float | None, tell: Callable[[str], None]) -> Iterator[None]:
    """End this process when it holds more than `limit_gib` inside the block; `tell` why first.

    What counts is resident memory (Linux). A limit of the address space (RLIMIT_AS) would be
    sharper, but CUDA and numba reserve far more addresses than memory.
    """
    if limit_gib is None:
        yield
        return
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_LOOK_EVERY_S):
            if (used_gib := resident_bytes() / 2**30) > limit_gib:
                try:
                    tell(f"memory limit of {limit_gib:g} GiB exceeded: {used_gib:.2f} GiB in use")
                finally:
                    os._exit(1)

    threading.Thread(target=watch, name="memory limit", daemon=True).start()
    try:
        yield
    finally:
        done.set()


def resident_bytes() -> int:
    """Resident memory of this process."""
    n_pages = int(Path("/proc/self/statm").read_text().split()[1])
    return n_pages * os.sysconf("SC_PAGE_SIZE")
