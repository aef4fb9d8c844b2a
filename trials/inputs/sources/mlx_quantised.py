"""Matrices that MLX has quantised: 32-bit words of small integers, a scale and an offset per group.

A number is scale * integer + bias; the integers of a word are stored from its lowest bits on
(documentation of `mlx.core.quantize`, mode "affine").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from trials.api import TrialError
from trials.inputs.sources.formats.tensor_file import TensorFile
from trials.inputs.sources.loaded import float32_rows

_BITS = (2, 4, 8)  # others are not aligned with the words
_PART = 4096


MLX = "MLX_"
"""How the names of types of quantised numbers begin."""


class _Packing(NamedTuple):
    bits: int
    group_size: int


def unpacked(tensors: TensorFile, config: Mapping[str, Any]) -> TensorFile:
    """The tensors of a file, with those that MLX has quantised as the numbers that they stand for.

    `config` is the model's `config.json`, whose `quantization` says how they are packed.
    """
    names = [name for name in tensors.shapes if _is_packed(name, tensors.shapes)]
    return _Unpacked(tensors, config, names) if names else tensors


class _Unpacked:
    def __init__(self, tensors: TensorFile, config: Mapping[str, Any], packed: list[str]) -> None:
        self._tensors = tensors
        self._config = config.get("quantization")
        self._packed = set(packed)
        helpers = {part for name in self._packed for part in _parts(name)}
        self.shapes = {n: self._shape(n) for n in tensors.shapes if n not in helpers}
        self.own_names = [name for name in tensors.own_names if name not in helpers]

    def dtype(self, name: str) -> str:
        """The type of the numbers. TrialError: they cannot be read."""
        if name not in self._packed:
            return self._tensors.dtype(name)
        packing = self._packing(name)
        return f"{MLX}Q{packing.bits}_{packing.group_size}"

    def read(self, name: str) -> np.ndarray:
        """The tensor as stored, or float32 where it is quantised."""
        if name not in self._packed:
            return self._tensors.read(name)
        packing = self._packing(name)
        words = self._tensors.read(name)
        scales, biases = (float32_rows(self._tensors.read(part)) for part in _parts(name))
        shifts = np.arange(0, 32, packing.bits, dtype=np.uint32)
        rows = np.empty(self.shapes[name], np.float32)
        for start in range(0, len(rows), _PART):
            part = slice(start, start + _PART)
            small = (words[part, :, None] >> shifts) & np.uint32((1 << packing.bits) - 1)
            groups = small.reshape(len(small), -1, packing.group_size).astype(np.float32)
            unpacked = groups * scales[part, :, None] + biases[part, :, None]
            rows[part] = unpacked.reshape(len(small), -1)
        return rows

    def _shape(self, name: str) -> tuple[int, ...]:
        shape = self._tensors.shapes[name]
        if name not in self._packed or not isinstance(self._config, dict) or len(shape) != 2:
            return shape
        try:
            return shape[0], shape[1] * 32 // self._packing(name).bits
        except TrialError:  # of a tensor that is perhaps not wanted
            return shape

    def _packing(self, name: str) -> _Packing:
        """How a tensor is packed. TrialError: it is not known, or does not fit the tensor."""
        if not isinstance(self._config, dict):
            raise TrialError(
                f"'{name}' is quantised by MLX, and no config.json says how: name the folder of "
                "the model with dir:"
            )
        own = self._config.get(name.removesuffix(".weight"))
        given = own if isinstance(own, dict) else self._config
        bits, size = given.get("bits"), given.get("group_size")
        if bits not in _BITS or type(size) is not int or given.get("mode", "affine") != "affine":
            raise TrialError(
                f"'{name}' is quantised by MLX in a way that is not read (bits {bits}, group_size "
                f"{size}, mode {given.get('mode', 'affine')}); allowed: affine with 2, 4 or 8 bits"
            )
        n_rows, n_words = self._tensors.shapes[name]
        groups = (n_rows, n_words * 32 // bits // size if size > 0 else 0)
        shapes = [self._tensors.shapes.get(part) for part in _parts(name)]
        if size < 1 or groups[1] * size * bits != n_words * 32 or shapes != [groups, groups]:
            raise TrialError(
                f"'{name}' is no matrix of {bits}-bit numbers in groups of {size}, as config.json "
                "says: download the model again"
            )
        return _Packing(bits, size)


def _is_packed(name: str, names: Iterable[str]) -> bool:
    return name.endswith(".weight") and all(part in names for part in _parts(name))


def _parts(name: str) -> tuple[str, str]:
    """Names of the scales and of the offsets of a quantised tensor."""
    stem = name.removesuffix(".weight")
    return f"{stem}.scales", f"{stem}.biases"
