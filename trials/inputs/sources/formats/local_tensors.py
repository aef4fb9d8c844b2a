"""Opens a file of tensors in whatever format its name says."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trials.api import TrialError
from trials.inputs.sources.formats import npy_file
from trials.inputs.sources.formats.byte_ranges import ByteReader, LocalBytes
from trials.inputs.sources.formats.npz_file import NpzFile
from trials.inputs.sources.formats.pickle_file import OldTensors, ZippedTensors, is_zipped
from trials.inputs.sources.formats.safetensors_file import SafetensorsFile
from trials.inputs.sources.formats.tensor_file import TensorFile

_PICKLES = (".bin", ".pt", ".pth")


def open_tensors(path: Path) -> TensorFile:
    """The tensors of a file by name. TrialError: not a sound file of that format."""
    if path.suffix == ".npy":
        return _NpyFile(path)
    return tensors_of(LocalBytes(path), path.name) or OldTensors(path)


def tensors_of(file: ByteReader, name: str) -> TensorFile | None:
    """The tensors of a file that is read by ranges; None for a pickle in torch's older format."""
    suffix = Path(name).suffix
    if suffix == ".npz":
        return NpzFile(file, name)
    if suffix not in _PICKLES:
        return SafetensorsFile(file)
    return ZippedTensors(file, name) if is_zipped(file) else None


class _NpyFile:
    """The one array of a `.npy` file, named like the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._header = npy_file.read_header(path)
        shape = self._header.shape
        if len(shape) != 2 or self._header.dtype.kind != "f" or 0 in shape:
            raise TrialError(
                f"{path.name} holds {self._header.dtype} {shape}; an embedding is (n_vocab, "
                "d_model) of floats"
            )
        self.shapes = {path.name: shape}
        self.own_names: tuple[str, ...] = ()

    def dtype(self, name: str) -> str:
        """The type of the numbers."""
        return str(self._header.dtype)

    def read(self, name: str) -> np.ndarray:
        """The array as stored."""
        return npy_file.read_array(self._path, self._header)
