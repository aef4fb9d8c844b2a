"""Tensors in a file that `torch.save` wrote: `pytorch_model.bin`, `.pt`, `.pth`.

Since torch 1.6 such a file is a zip archive: a pickle of names and places, and one entry per
storage. Of it only the pickle and one tensor's bytes are read, and nothing of it is run. The older
format is one stream, which is read whole by `torch.load(weights_only=True)`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trials.api import TrialError
from trials.inputs.messages import one_line
from trials.inputs.sources.formats.byte_ranges import ByteReader
from trials.inputs.sources.formats.torch_pickle import refused, stored_tensors
from trials.inputs.sources.formats.torch_records import StoredTensor
from trials.inputs.sources.formats.zip_archive import MAGIC, ZipArchive
from trials.inputs.sources.tensor_names import is_output
from trials.lazy import lazy_module

if TYPE_CHECKING:
    import torch
else:
    torch = lazy_module("torch")  # takes a second to import

# bfloat16 has no NumPy type: it is kept as the uint16 of its bits.
_STORED: dict[str, np.dtype[Any]] = {
    "float64": np.dtype("<f8"),
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype("<u2"),
}


def is_zipped(file: ByteReader) -> bool:
    """Whether the file has the newer format."""
    return file.n_bytes > len(MAGIC) and bytes(file.read(0, len(MAGIC))) == MAGIC


class ZippedTensors:
    """The tensors of the newer format by name.

    Args:
        file: ranges of the file.
        label: its name, for messages.

    Raises:
        TrialError: not a sound archive, or a pickle of more than tensors.
    """

    def __init__(self, file: ByteReader, label: str) -> None:
        self._label = label
        self._archive = ZipArchive(file, label)
        pickles = [name for name in self._archive.entries if name.split("/")[1:] == ["data.pkl"]]
        if len(pickles) != 1:
            raise refused(label, f"it has {len(pickles)} entries data.pkl")
        self._folder = pickles[0].removesuffix("data.pkl")
        self._check_byte_order()
        self.tensors = stored_tensors(self._archive.read(pickles[0]), label)
        self.shapes = {name: tensor.shape for name, tensor in self.tensors.items()}

    @property
    def own_names(self) -> Sequence[str]:
        """Names, without output embeddings that share their memory with another tensor.

        A pickle, unlike safetensors, lists a tied matrix under both names.
        """
        return _own_names({name: (t.storage, t.offset) for name, t in self.tensors.items()})

    def dtype(self, name: str) -> str:
        """The type of the numbers as torch names it. TrialError: the tensor cannot be read."""
        self._span(name)
        return self.tensors[name].dtype

    def read(self, name: str) -> np.ndarray:
        """The tensor as stored, (n_rows, n_columns), from the part of its storage that it spans."""
        tensor = self.tensors[name]
        kind = _STORED[tensor.dtype]
        flat = np.frombuffer(self._archive.read(*self._span(name)), kind)
        strides = [stride * kind.itemsize for stride in tensor.strides]
        view = np.lib.stride_tricks.as_strided(flat, tensor.shape, strides)
        return np.ascontiguousarray(view)

    def _span(self, name: str) -> tuple[str, int, int]:
        """The entry that holds a tensor, and its bytes there. TrialError: there is none such."""
        tensor = self.tensors[name]
        n_bytes = _STORED[_checked_dtype(tensor.dtype)].itemsize
        n_spanned = _n_spanned(tensor)
        if n_spanned < math.prod(tensor.shape):
            raise refused(self._label, f"the numbers of '{one_line(name)}' overlap")
        entry = f"{self._folder}data/{tensor.storage}"
        if entry not in self._archive.entries:
            raise refused(self._label, f"it has no entry '{one_line(entry)}'")
        start, stop = tensor.offset * n_bytes, (tensor.offset + n_spanned) * n_bytes
        if stop > (held := self._archive.entries[entry].n_bytes):
            raise refused(self._label, f"'{one_line(name)}' ends at byte {stop} of {held}")
        return entry, start, stop

    def _check_byte_order(self) -> None:
        entry = f"{self._folder}byteorder"
        if entry in self._archive.entries and bytes(self._archive.read(entry)) != b"little":
            raise refused(self._label, "its numbers are not little-endian")


class OldTensors:
    """The tensors of the older format by name, all in memory. TrialError: more than tensors."""

    def __init__(self, path: Path) -> None:
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except OSError:
            raise
        except Exception as error:  # a damaged stream may end in any of them
            raise refused(path.name, one_line(str(error).split("\n")[0][:80])) from error
        if not isinstance(state, dict):
            raise TrialError(f"{path.name} holds a {type(state).__name__}, not tensors by name")
        self.tensors = {str(n): t for n, t in state.items() if isinstance(t, torch.Tensor)}

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes by name."""
        return {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}

    @property
    def own_names(self) -> Sequence[str]:
        """Names, without output embeddings that share their memory with another tensor."""
        return _own_names({name: tensor.data_ptr() for name, tensor in self.tensors.items()})

    def dtype(self, name: str) -> str:
        """The type of the numbers as torch names it. TrialError: it is not read."""
        return _checked_dtype(str(self.tensors[name].dtype).removeprefix("torch."))

    def read(self, name: str) -> np.ndarray:
        """The tensor as stored."""
        tensor = self.tensors[name].contiguous()
        if tensor.dtype == torch.bfloat16:
            return tensor.view(torch.int16).numpy().view(np.uint16)
        found: np.ndarray = tensor.numpy()
        return found


def _checked_dtype(dtype: str) -> str:
    if dtype not in _STORED:
        raise TrialError(f"dtype {dtype} is not read; allowed: {', '.join(_STORED)}")
    return dtype


def _n_spanned(tensor: StoredTensor) -> int:
    """Elements of the storage from the first to the last of the tensor."""
    if 0 in tensor.shape:
        return 0
    return 1 + sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.strides, strict=True))


def _own_names(place_of: Mapping[str, object]) -> list[str]:
    others = {place for name, place in place_of.items() if not is_output(name)}
    return [n for n, place in place_of.items() if not (is_output(n) and place in others)]
