"""Holding numerical libraries to a trial's share of the machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def limited_threads(n_threads: int) -> Iterator[None]:
    """Hold OpenMP, numba and torch to `n_threads` inside the block, and BLAS to one.

    Our kernels have threads of their own: those of BLAS would compete with them for the cores, and
    the last digits would depend on how many there are.

    Ray exports OMP_NUM_THREADS=1 to every worker, so the share is set, not only capped. Libraries
    that are loaded already are told; those that load inside the block read the environment.
    NUMBA_NUM_THREADS stays as it is: numba refuses to work once that has changed. Afterwards all
    have as many as before.
    """
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(n_threads)
    numba, torch = sys.modules.get("numba"), sys.modules.get("torch")
    # In this order: numba's first answer starts its threads, which may change torch's number.
    torch_before = torch.get_num_threads() if torch else 0
    numba_before = numba.get_num_threads() if numba else 0
    if numba:
        numba.set_num_threads(min(n_threads, numba.config.NUMBA_NUM_THREADS))
    if torch:
        torch.set_num_threads(n_threads)
    try:
        with threadpool_limits({"openmp": n_threads, "blas": 1}):
            yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before
        if numba:
            numba.set_num_threads(numba_before)
        if torch:
            torch.set_num_threads(torch_before)
