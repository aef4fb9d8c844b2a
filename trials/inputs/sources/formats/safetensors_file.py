"""One tensor out of a safetensors file, read by byte ranges, with nothing in the header trusted.

Format: 8 bytes little-endian header length, a JSON header (name -> dtype, shape, data_offsets),
then the tensors without gaps (https://huggingface.co/docs/safetensors).
"""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

import numpy as np

from trials.api import TrialError
from trials.inputs.sources.formats.byte_ranges import ByteReader

_MAX_HEADER_BYTES = 25_000_000  # the hub's own limit
_FIRST_READ_BYTES = 16_384  # holds the whole header of most models below a billion parameters

# bfloat16 has no NumPy type: it is kept as the uint16 of its bits.
_STORED: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
}
_WORDS = {"U32": np.dtype("<u4")}  # of quantised matrices; no embedding by themselves


class TensorSpan(NamedTuple):
    """Where a tensor lies: dtype as the header names it, and its bytes start .. stop-1."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


def read_header(file: ByteReader) -> dict[str, TensorSpan]:
    """Every tensor of the file by name.

    Raises:
        TrialError: the header is too long, not JSON, or its spans do not tile the file exactly.
    """
    first = bytes(file.read(0, min(_FIRST_READ_BYTES, file.n_bytes)))
    n_header = int.from_bytes(first[:8], "little")
    if len(first) < 8 or not 2 <= n_header <= min(_MAX_HEADER_BYTES, file.n_bytes - 8):
        raise TrialError(
            f"not a safetensors file: it claims a header of {n_header} bytes and has "
            f"{file.n_bytes} bytes"
        )
    body = first[8 : 8 + n_header]
    if len(body) < n_header:
        body += bytes(file.read(8 + len(body), 8 + n_header))
    try:
        entries = json.loads(body, object_pairs_hook=_no_duplicates)
        if not isinstance(entries, dict):
            raise ValueError("it is no JSON object")
        entries.pop("__metadata__", None)
        spans = {name: _span(name, entry, 8 + n_header) for name, entry in entries.items()}
    except (ValueError, RecursionError) as problem:
        raise TrialError(
            f"not a readable safetensors header ({problem}); download or save the file again"
        ) from problem
    _check_tiling(spans, 8 + n_header, file.n_bytes)
    return spans


class SafetensorsFile:
    """The tensors of a file by name. TrialError: the header is not sound."""

    def __init__(self, file: ByteReader) -> None:
        self._file = file
        self.spans = read_header(file)
        self.shapes = {name: span.shape for name, span in self.spans.items()}
        self.own_names = tuple(self.spans)

    def dtype(self, name: str) -> str:
        """The dtype as the header names it. TrialError: it is not read."""
        check_dtype(self.spans[name])
        return self.spans[name].dtype

    def read(self, name: str) -> np.ndarray:
        """The tensor as stored; bfloat16 as the uint16 of its bits."""
        return read_matrix(self._file, self.spans[name])


def read_matrix(file: ByteReader, span: TensorSpan) -> np.ndarray:
    """The tensor as stored, (n_vocab, d_model); bfloat16 as the uint16 of its bits."""
    if span.dtype not in _WORDS:
        check_dtype(span)
    data = file.read(span.start, span.stop)
    return np.frombuffer(data, dtype=(_STORED | _WORDS)[span.dtype]).reshape(span.shape)


def check_dtype(span: TensorSpan) -> None:
    """TrialError for a dtype that is not read; of others the size was checked with the header."""
    if span.dtype not in _STORED:
        raise TrialError(f"dtype {span.dtype} is not read; allowed: {', '.join(_STORED)}")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a name twice")
    return dict(pairs)


def _span(name: str, entry: Any, data_start: int) -> TensorSpan:
    try:
        dtype, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    except (TypeError, KeyError, ValueError) as problem:
        raise ValueError(f"{name!r} has no dtype, shape and two data_offsets") from problem
    if not all(type(n) is int and 0 <= n < 2**63 for n in (*shape, begin, end)):
        raise ValueError(f"sizes and offsets of {name!r} must be non-negative integers")
    if not isinstance(dtype, str):
        raise ValueError(f"the dtype of {name!r} is no text")
    kind = (_STORED | _WORDS).get(dtype)
    if kind and end - begin != math.prod(shape) * kind.itemsize:
        raise ValueError(f"{name!r} has {end - begin} bytes for shape {shape} of {dtype}")
    return TensorSpan(dtype, shape, data_start + begin, data_start + end)


def _check_tiling(spans: dict[str, TensorSpan], data_start: int, n_bytes: int) -> None:
    """Refuse overlaps and gaps; the format allows neither."""
    position = data_start
    for name, span in sorted(spans.items(), key=lambda item: item[1][2:]):
        if span.start != position or span.stop < span.start:
            raise TrialError(f"not a sound safetensors file: '{name}' overlaps or leaves a gap")
        position = span.stop
    if position != n_bytes:
        raise TrialError(f"the safetensors file should have {position} bytes, but has {n_bytes}")
