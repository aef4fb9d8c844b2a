"""NumPy's `.npz` archives: arrays by name, read without pickle."""

from __future__ import annotations

import io
import math

import numpy as np

from trials.api import TrialError
from trials.inputs.sources.formats.byte_ranges import ByteReader
from trials.inputs.sources.formats.npy_file import NpyHeader, parse_header
from trials.inputs.sources.formats.zip_archive import ZipArchive

_MAX_HEADER_BYTES = 16_384


class NpzFile:
    """The arrays of an archive by name. TrialError: not a sound archive of arrays."""

    def __init__(self, file: ByteReader, label: str) -> None:
        self._archive = ZipArchive(file, label)
        self._headers = {
            name.removesuffix(".npy"): self._header(name)
            for name in self._archive.entries
            if name.endswith(".npy")
        }
        self.shapes = {name: header.shape for name, header in self._headers.items()}
        self.own_names = tuple(self.shapes)

    def dtype(self, name: str) -> str:
        """The type of the numbers. TrialError: they are no floats."""
        found = self._headers[name].dtype
        if found.kind != "f":
            raise TrialError(
                f"'{name}' holds {found}; an embedding is (n_vocab, d_model) of floats"
            )
        return str(found)

    def read(self, name: str) -> np.ndarray:
        """The array as stored."""
        header = self._headers[name]
        n_bytes = math.prod(header.shape) * header.dtype.itemsize
        data = self._archive.read(f"{name}.npy", header.start, header.start + n_bytes)
        return np.frombuffer(data, header.dtype).reshape(header.shape, order=header.order)

    def _header(self, name: str) -> NpyHeader:
        n_bytes = self._archive.entries[name].n_bytes
        first = self._archive.read(name, 0, min(n_bytes, _MAX_HEADER_BYTES))
        return parse_header(name, io.BytesIO(first), n_bytes)
