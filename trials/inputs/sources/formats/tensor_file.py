"""What all file formats of tensors by name have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class TensorFile(Protocol):
    """The tensors of one file. Opening it reads its header; a tensor is read when asked for."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes by name."""

    @property
    def own_names(self) -> Sequence[str]:
        """Names, without output embeddings that share their memory with another tensor."""

    def dtype(self, name: str) -> str:
        """The type of the numbers as the format names it. TrialError: it is not read."""

    def read(self, name: str) -> np.ndarray:
        """The tensor as stored; bfloat16 as the uint16 of its bits."""
