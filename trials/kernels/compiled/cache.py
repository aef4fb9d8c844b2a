"""Compile in a subprocess, so that every process loads identical machine code.

A process that compiles a function runs different code from one that loads it from numba's cache:
calls between functions are linked and inlined differently. Where sums may be reordered, the last
digits differ, and so do the results of a trial. So the first use compiles in a process of its own
(`trials.kernels.warm_up`).

Numba notices changes in a function's own file only. When any compiled kernel has changed, the whole
cache is dropped first.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numba
import numpy as np

from trials.kernels.compiled import block_rounds

try:
    import fcntl
except ModuleNotFoundError:  # pragma: no cover - no POSIX system
    fcntl = None  # type: ignore[assignment]

_COMPILING = "SWEEPER_COMPILING_KERNELS"


@cache
def ensure_compiled(dtype: np.dtype) -> None:
    """Fill numba's cache with the kernels for arrays of `dtype` (half a minute, once)."""
    if os.environ.get(_COMPILING):
        return
    kept = Path(block_rounds.improve.stats.cache_path)
    mark = f"compiled-{_fingerprint()}"
    marker = kept / f"{mark}-{dtype.name}"
    if marker.exists():
        return
    kept.mkdir(parents=True, exist_ok=True)
    with _alone(kept / "compiling.lock"):
        if marker.exists():  # another process was faster
            return
        if not any(kept.glob(f"{mark}-*")):
            for stale in [*kept.glob("*.nbi"), *kept.glob("*.nbc"), *kept.glob("compiled-*")]:
                stale.unlink(missing_ok=True)
        # The package may be importable only through this process's own sys.path.
        environment = {
            **os.environ,
            _COMPILING: "1",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        command = [sys.executable, "-m", "trials.kernels.warm_up", dtype.name]
        folder = Path(__file__).parents[3]
        # In its own session: Ctrl-C on a sweep must not leave half a cache behind.
        done = subprocess.run(
            command,
            env=environment,
            cwd=folder,
            capture_output=True,
            check=False,
            start_new_session=True,
        )
        if done.returncode == 0:
            marker.touch()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock on a file, on systems that have file locks."""
    if fcntl is None:
        yield
        return
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fingerprint() -> str:
    """Changes with the compiled kernels, numba and Python."""
    digest = hashlib.sha256(f"{numba.__version__} {sys.version}".encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        source = path.read_bytes()
        if b"@compiled" in source or b"import numba" in source or b"from numba" in source:
            digest.update(source)
    return digest.hexdigest()[:16]
