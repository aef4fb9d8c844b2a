"""Blocks of work on a few threads, with the same result for any number of them."""

import importlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

from trials import machine


def thread_count(n_threads: int | None) -> int:
    """`n_threads`, or every core that this process may use; ValueError below one."""
    if n_threads is None:
        return machine.n_cpus()
    if n_threads < 1:
        raise ValueError(f"n_threads is {n_threads}; it must be at least 1")
    return n_threads


@cache
def _libraries() -> ThreadpoolController:
    # SciPy ships its own BLAS. The controller only sees libraries that are already loaded.
    importlib.import_module("scipy.linalg")
    return ThreadpoolController()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to the calling thread: its own threads would compete with ours for the cores."""
    with _libraries().limit(limits=1, user_api="blas"):
        yield


def for_each_block(
    n_blocks: int, make_worker: Callable[[], Callable[[int], None]], n_threads: int
) -> None:
    """Call a worker once with each block number.

    `make_worker` is called once per thread, so a worker can own its scratch arrays. What a block
    computes must depend on its number only; then the result does not depend on `n_threads`. The
    first exception of a worker is raised here.
    """
    numbers = iter(range(n_blocks))  # next() on it is atomic

    def drain(_: Any = None) -> None:
        worker = make_worker()
        for number in numbers:
            worker(number)

    with one_blas_thread():
        n_threads = min(n_threads, n_blocks)
        if n_threads <= 1:
            drain()
            return
        with ThreadPoolExecutor(n_threads) as pool:
            list(pool.map(drain, range(n_threads)))
