"""One machine code in every process: what numba compiled is loaded, never run where it was made.

A process that compiles a function runs other code than one that loads it from numba's cache: calls
between functions are linked and inlined differently, and with sums that may be reordered the last
digits differ, and the same trial with them. So the first use compiles in a process of its own.

Numba notices a change of a function's own file only. So when any compiled kernel has changed, what
is kept of all of them is dropped first.
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

from trials.kernels import _block_rounds

_COMPILING = "SWEEPER_COMPILING_KERNELS"


@cache
def ensure_compiled(dtype: np.dtype) -> None:
    """Fill numba's cache with the kernels for arrays of that type (half a minute, once)."""
    if os.environ.get(_COMPILING):
        return
    kept = Path(_block_rounds.improve.stats.cache_path)
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
        # The parent of the package may be on no path but this process's own.
        environment = {
            **os.environ,
            _COMPILING: "1",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        command = [sys.executable, "-m", "trials.kernels._compiled", dtype.name]
        folder = Path(__file__).parents[2]
        # In a session of its own: what interrupts a sweep leaves a whole cache behind.
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
    """Hold a lock on a file, where the system knows locks."""
    try:
        import fcntl
    except ModuleNotFoundError:  # pragma: no cover - no POSIX system
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
        if b"@compiled" in source or b"numba" in source:
            digest.update(source)
    return digest.hexdigest()[:16]


def _compile(dtype: str) -> None:
    from trials.kernels.dictionary import learn_dictionary
    from trials.kernels.exact_sparse_coding import exact_codes
    from trials.kernels.orthogonal_matching_pursuit import omp_codes
    from trials.kernels.sparse_coding import debiased_codes, lasso_codes, lasso_path

    rng = np.random.default_rng(0)
    rows = rng.standard_normal((64, 8)).astype(dtype)
    atoms = learn_dictionary(rows, 12, l1_penalty=0.5, max_passes=3, rng=rng, n_threads=1).atoms
    codes = lasso_codes(rows, atoms, l1_penalty=0.5, n_threads=1).codes
    lasso_path(rows, atoms, l1_penalties=np.array([0.5, 0.4, 0.3]), n_threads=1)
    debiased_codes(rows, atoms, codes, n_threads=1)
    omp_codes(rows, atoms, n_nonzero=3, n_threads=1)
    exact_codes(rows, atoms, n_threads=1)


if __name__ == "__main__":
    if sys.argv[1:]:
        _compile(sys.argv[1])
    else:
        for name in ("float32", "float64"):
            ensure_compiled(np.dtype(name))
