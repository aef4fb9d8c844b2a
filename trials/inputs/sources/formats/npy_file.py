"""NumPy's `.npy` files, read without pickle and without trusting the sizes in the header.

`np.load` treats any other file as a pickle and suggests allowing that, allocates what a header asks
for before it looks at the file, and ignores trailing bytes.
"""

from __future__ import annotations

import math
import os
import tokenize
import warnings
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from trials.api import TrialError

_NOT_NPY = (
    ValueError,
    TypeError,
    SyntaxError,
    tokenize.TokenError,
    RecursionError,
    MemoryError,  # a header that nests too deep for the parser
)


class NpyHeader(NamedTuple):
    """Type and shape of the array, its order in memory ("C" or "F"), and its first byte."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    start: int


def read_header(path: Path) -> NpyHeader:
    """What a .npy file holds, after a comparison with the size of the file.

    Raises:
        TrialError: no .npy file, one of Python objects, or one of another size than it says.
    """
    with path.open("rb") as file:
        return parse_header(path.name, file, os.fstat(file.fileno()).st_size)


def parse_header(name: str, file: BufferedIOBase, n_bytes: int) -> NpyHeader:
    """What the .npy file of that name and size holds; errors as for `read_header`."""
    header = _parse(name, file)
    if header.dtype.hasobject:
        raise TrialError(
            f"{name} is not a readable .npy file: it holds Python objects, which are never "
            "loaded; save an array of floats"
        )
    expected = header.start + math.prod(header.shape) * header.dtype.itemsize
    if n_bytes != expected:
        raise TrialError(
            f"{name} should have {expected} bytes by its header, but has {n_bytes}: it was "
            "cut or damaged; save it again with np.save"
        )
    return header


def read_array(path: Path, header: NpyHeader) -> np.ndarray:
    """The array that `header` describes."""
    n = math.prod(header.shape)
    array = np.fromfile(path, header.dtype, count=n, offset=header.start)
    if len(array) != n:
        raise TrialError(f"{path.name} was cut while it was read")
    return array.reshape(header.shape, order=header.order)


def _parse(name: str, file: BufferedIOBase) -> NpyHeader:
    try:
        with warnings.catch_warnings():  # NumPy retries a damaged header, with a warning
            warnings.simplefilter("ignore")
            if np.lib.format.read_magic(file) == (1, 0):
                shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
            else:
                shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
        if any(n < 0 for n in shape):
            raise ValueError("a negative size")
    except _NOT_NPY as error:
        raise TrialError(
            f"{name} is not a readable .npy file: write one with np.save(path, array)"
        ) from error
    return NpyHeader(dtype, shape, "F" if fortran else "C", file.tell())
