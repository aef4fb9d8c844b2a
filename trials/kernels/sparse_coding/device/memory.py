"""Blocks of rows that fit in the memory of a device, and the precision of its products."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from trials.kernels.threads import for_each_block
from trials.lazy import lazy_module

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:  # torch takes a second to import; annotations are also read at run time
    torch = lazy_module("torch")
    Tensor = Any

_SHARE = 0.4
_RESIDENT_SHARE = 0.4
_MOST_ROWS = 8192
_CPU_BYTES = 1 << 28
_FEWEST_ROWS = 8


def free_bytes(device: str) -> int:
    """Memory that a process can still allocate on a GPU; a fixed number on the CPU.

    What torch keeps reserved but unused counts. So does a cap set by
    `torch.cuda.set_per_process_memory_fraction`.
    """
    if torch.device(device).type != "cuda":
        return _CPU_BYTES
    free, total = torch.cuda.mem_get_info(device)
    allocated = torch.cuda.memory_allocated(device)
    free += torch.cuda.memory_reserved(device) - allocated
    if hasattr(torch.cuda, "get_per_process_memory_fraction"):  # since torch 2.8
        cap = torch.cuda.get_per_process_memory_fraction(device) * total
        free = min(free, int(cap) - allocated)
    return max(0, free)


def rows_per_block(bytes_per_row: int, device: str) -> int:
    """Rows whose temporary arrays take a fixed share of the free memory.

    A power of two, so that a small change in free memory does not change the result.
    """
    fitting = int(_SHARE * free_bytes(device) / bytes_per_row)
    return min(1 << max(fitting, _FEWEST_ROWS).bit_length() - 1, _MOST_ROWS)


def for_each_part(
    n_rows: int, size: int, work: Callable[[slice], None], device: str, n_threads: int = 1
) -> None:
    """Call `work` on consecutive slices of at most `size` rows.

    On a device, a slice that does not fit in its memory is tried again in halves. `work` must
    therefore leave nothing behind when it raises. On the CPU, the slices are shared by threads,
    each with one thread of torch, and do not change.

    Raises:
        torch.OutOfMemoryError: not even a few rows fit.
    """
    if device == "cpu":

        def make_worker() -> Callable[[int], None]:
            torch.set_num_threads(1)  # torch keeps this number per thread
            return lambda number: work(slice(number * size, min((number + 1) * size, n_rows)))

        for_each_block(-(-n_rows // size), make_worker, n_threads)
        return
    first = 0
    while first < n_rows:
        part = slice(first, min(first + size, n_rows))
        try:
            work(part)
            first = part.stop
            continue
        except torch.OutOfMemoryError:
            if part.stop - first <= _FEWEST_ROWS:
                raise
        # Outside of the handler: the traceback holds the tensors of the attempt.
        size = (part.stop - first + 1) // 2
        if torch.device(device).type == "cuda":
            torch.cuda.empty_cache()


def resident(rows: np.ndarray, device: str) -> "np.ndarray | Tensor":
    """The rows on the device, or as they are when they would take too much of its memory.

    `block_of` gives a part of either.
    """
    if rows.nbytes > _RESIDENT_SHARE * free_bytes(device):
        return rows
    return torch.as_tensor(rows, device=device)


def block_of(rows: "np.ndarray | Tensor", which: slice | np.ndarray, device: str) -> Tensor:
    """Some of the rows that `resident` returned, on the device."""
    if isinstance(which, np.ndarray) and not isinstance(rows, np.ndarray):
        return rows[torch.as_tensor(which, device=device)]
    return torch.as_tensor(rows[which], device=device)


@contextmanager
def float32_products(device: str, *, tf32: bool) -> Iterator[None]:
    """Products of float32 matrices at full precision, or in TF32 where the GPU has it.

    TF32 keeps 10 bits of each factor. On the CPU nothing changes.
    """
    if not device.startswith("cuda"):
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
