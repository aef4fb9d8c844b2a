"""The header of a GGUF file: metadata, and where each tensor lies. Nothing in it is trusted.

Format: magic, version, number of tensors, number of metadata entries; the entries (name, type,
value); the tensors (name, axes with the fastest first, type, offset); then, aligned, their data
(https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). The gguf package reads it too, but
trusts every length: it would loop over an array that claims 10^15 elements.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

from trials.api import TrialError

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_TEXT, _ARRAY = 8, 9
# Metadata types that are one number, by their code in the file.
_NUMBERS = {
    **dict(enumerate(("<u1", "<i1", "<u2", "<i2", "<u4", "<i4", "<f4", "?"))),
    **dict(enumerate(("<u8", "<i8", "<f8"), start=10)),
}
_MAX_DEPTH = 4  # of arrays in arrays
_MAX_AXES = 4  # as in ggml


class GgufTensor(NamedTuple):
    """Where a tensor lies.

    Attributes:
        code: type of the numbers, as the file codes it (`gguf.GGMLQuantizationType`).
        shape: the slowest axis first, as in NumPy.
        start: first byte in the file.
    """

    code: int
    shape: tuple[int, ...]
    start: int


class GgufHeader(NamedTuple):
    """Metadata by name (numbers, texts, lists of texts, arrays of numbers), tensors by name."""

    metadata: dict[str, Any]
    tensors: dict[str, GgufTensor]


def read_header(path: Path) -> GgufHeader:
    """The header of a GGUF file, with all of its data in the file.

    Raises:
        TrialError: no GGUF file, another version or byte order, cut short, or names twice.
    """
    with path.open("rb") as file:
        cursor = _Cursor(file, path.stat().st_size, path.name)
        if cursor.take(4) != _MAGIC:
            raise cursor.error("it does not begin with 'GGUF'")
        version = cursor.number("<u4")
        if version & 0xFFFF == 0:
            raise cursor.error("it is big-endian: convert the model for a little-endian machine")
        if version not in _VERSIONS:
            raise cursor.error(f"its version is {version}; versions 2 and 3 are read")
        n_tensors, n_entries = cursor.number("<u8"), cursor.number("<u8")
        metadata: dict[str, Any] = {}
        for _ in range(n_entries):
            name = cursor.text()
            if name in metadata:
                raise cursor.error(f"its header names {name!r} twice")
            metadata[name] = cursor.value(cursor.number("<u4"))
        tensors: dict[str, GgufTensor] = {}
        for _ in range(n_tensors):
            name = cursor.text()
            if name in tensors:
                raise cursor.error(f"its header names the tensor {name!r} twice")
            tensors[name] = cursor.tensor()
        start = _aligned(cursor, metadata.get("general.alignment", 32))
    header = GgufHeader(
        metadata, {name: t._replace(start=start + t.start) for name, t in tensors.items()}
    )
    _check_spans(header, cursor)
    return header


def quantisation(tensor: GgufTensor) -> GGMLQuantizationType:
    """The type of the numbers. TrialError if it is not known, so that the size is not either."""
    known = {int(kind): kind for kind in GGML_QUANT_SIZES}
    if tensor.code not in known:
        raise TrialError(
            f"numbers of type {tensor.code} cannot be read; convert the model to F16 or Q8_0"
        )
    return known[tensor.code]


def read_bytes(path: Path, tensor: GgufTensor) -> np.ndarray:
    """The bytes of a matrix, uint8, (n_rows, bytes per row)."""
    quantisation(tensor)
    n_bytes = _n_bytes(tensor) or 0
    data = np.fromfile(path, np.uint8, count=n_bytes, offset=tensor.start)
    if len(data) != n_bytes:
        raise TrialError(f"{path.name} was cut while it was read")
    return data.reshape(tensor.shape[0], -1)


def _n_bytes(tensor: GgufTensor) -> int | None:
    """Bytes of the data; None if the type of the numbers is not known."""
    try:
        block, block_bytes = GGML_QUANT_SIZES[quantisation(tensor)]
    except TrialError:
        return None
    if tensor.shape and tensor.shape[-1] % block:
        raise ValueError(f"its rows are no multiple of {block}")
    return math.prod(tensor.shape) // block * block_bytes


class _Cursor:
    """Reads values one after the other, and never more than the file holds."""

    def __init__(self, file: BinaryIO, n_bytes: int, name: str) -> None:
        self._file, self.n_bytes, self._name = file, n_bytes, name
        self.position = 0

    def error(self, problem: str) -> TrialError:
        return TrialError(
            f"{self._name} is not a whole GGUF file: {problem}; download or convert it again"
        )

    def take(self, n_bytes: int) -> bytes:
        """The next bytes; their number is checked against the file before memory is allocated."""
        if n_bytes > self.n_bytes - self.position:
            raise self.error(
                f"its header asks for {n_bytes} bytes at byte {self.position}, and the file has "
                f"{self.n_bytes}"
            )
        data = self._file.read(n_bytes)
        if len(data) != n_bytes:
            raise self.error("it was cut while it was read")
        self.position += n_bytes
        return data

    def number(self, dtype: str) -> Any:
        kind = np.dtype(dtype)
        return np.frombuffer(self.take(kind.itemsize), kind)[0].item()

    def text(self) -> str:
        (n_bytes,) = struct.unpack("<Q", self.take(8))
        try:
            return self.take(n_bytes).decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.error(f"a text before byte {self.position} is not UTF-8") from error

    def value(self, code: int, depth: int = 0) -> Any:
        if code == _TEXT:
            return self.text()
        if code in _NUMBERS:
            return self.number(_NUMBERS[code])
        if code != _ARRAY or depth == _MAX_DEPTH:
            raise self.error(f"its header has a value of unknown type {code}")
        code, n_values = struct.unpack("<IQ", self.take(12))
        if code in _NUMBERS:
            kind = np.dtype(_NUMBERS[code])
            return np.frombuffer(self.take(n_values * kind.itemsize), kind)
        return [self.value(code, depth + 1) for _ in range(n_values)]

    def tensor(self) -> GgufTensor:
        """The entry of a tensor after its name; its start is still relative to the data."""
        (n_axes,) = struct.unpack("<I", self.take(4))
        if n_axes > _MAX_AXES:
            raise self.error(f"a tensor has {n_axes} axes; at most {_MAX_AXES} are possible")
        axes = struct.unpack(f"<{n_axes}Q", self.take(8 * n_axes))
        code, offset = struct.unpack("<IQ", self.take(12))
        return GgufTensor(code, axes[::-1], offset)


def _aligned(cursor: _Cursor, alignment: Any) -> int:
    """Where the data begin."""
    if type(alignment) is not int or alignment < 1 or alignment & (alignment - 1):
        raise cursor.error(f"its alignment is {alignment!r}, which is no power of two")
    return -(-cursor.position // alignment) * alignment


def _check_spans(header: GgufHeader, cursor: _Cursor) -> None:
    """Every tensor lies in the file, and none on top of another. Unknown types are not checked."""
    position, before = 0, ""
    for name, tensor in sorted(header.tensors.items(), key=lambda item: item[1].start):
        try:
            n_bytes = _n_bytes(tensor)
        except ValueError as problem:
            raise cursor.error(f"tensor {name!r} has shape {tensor.shape}: {problem}") from problem
        if n_bytes is None:
            continue
        if tensor.start < position:
            raise cursor.error(f"tensors {before!r} and {name!r} overlap")
        position, before = tensor.start + n_bytes, name
        if position > cursor.n_bytes:
            raise cursor.error(
                f"tensor {name!r} ends at byte {position}, but the file has {cursor.n_bytes}"
            )
