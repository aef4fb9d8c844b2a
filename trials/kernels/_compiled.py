"""One machine code in every process: what numba compiled is loaded, never run where it was made.

A process that compiles a function runs other code than one that loads it from numba's cache: calls
between functions are linked and inlined differently, and with sums that may be reordered the last
digits differ, and the same trial with them. So the first use compiles in a process of its own.
"""

import hashlib
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numba
import numpy as np

from trials.kernels import _working_set

_COMPILING = "SWEEPER_COMPILING_KERNELS"


@cache
def ensure_compiled() -> None:
    """Fill numba's cache with the kernels, unless it holds them already (seconds, once)."""
    if os.environ.get(_COMPILING):
        return
    marker = Path(_working_set.improve.stats.cache_path) / f"compiled-{_fingerprint()}"
    if marker.exists():
        return
    # The parent of the package may be on no path but this process's own.
    folder = Path(__file__).parents[2]
    environment = {
        **os.environ,
        _COMPILING: "1",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    command = [sys.executable, "-m", "trials.kernels._compiled"]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, check=False)
    if done.returncode == 0 and marker.parent.is_dir():
        marker.touch()


def _fingerprint() -> str:
    """Changes with the kernels, numba and Python."""
    digest = hashlib.sha256(f"{numba.__version__} {sys.version}".encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _compile() -> None:
    from trials.kernels.dictionary import learn_dictionary
    from trials.kernels.sparse_coding import debiased_codes, lasso_codes

    # float32, in which kinds iterate; float64 is compiled where it is asked for.
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((64, 8), dtype=np.float32)
    learned = learn_dictionary(rows, 12, l1_penalty=0.5, max_passes=3, rng=rng, n_threads=1)
    codes = lasso_codes(rows, learned.atoms, l1_penalty=0.5, n_threads=1).codes
    debiased_codes(rows, learned.atoms, codes, n_threads=1)


if __name__ == "__main__":
    _compile()
