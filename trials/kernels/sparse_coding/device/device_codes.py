"""Sparse codes on a device, as the parts of a CSR matrix."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from trials.lazy import lazy_module

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:  # torch takes a second to import; annotations are also read at run time
    torch = lazy_module("torch")
    Tensor = Any


class DeviceCodes(NamedTuple):
    """Codes of some rows. Indices are sorted in each row.

    Attributes:
        indptr: (n_rows + 1,), int64, on the host: slices of rows need no synchronisation.
        indices: (n_entries,), int64.
        values: (n_entries,).
    """

    indptr: np.ndarray
    indices: Tensor
    values: Tensor

    @classmethod
    def empty(cls, n_rows: int, like: Tensor) -> "DeviceCodes":
        """Zero codes of the type and device of a tensor."""
        indices = torch.zeros(0, dtype=torch.int64, device=like.device)
        return cls(np.zeros(n_rows + 1, np.int64), indices, like.new_zeros(0))

    @classmethod
    def from_host(cls, codes: csr_array, device: str) -> "DeviceCodes":
        """A canonical SciPy matrix, copied to the device."""
        return cls(
            codes.indptr.astype(np.int64),
            torch.tensor(codes.indices, device=device).long(),
            torch.tensor(codes.data, device=device),
        )

    @classmethod
    def from_dense(cls, codes: Tensor) -> "DeviceCodes":
        """The nonzero entries of a dense block."""
        places = codes.nonzero(as_tuple=True)
        lengths = codes.count_nonzero(dim=1).cpu().numpy()
        return cls(_ends(lengths), places[1], codes[places])

    @classmethod
    def stacked(cls, parts: Sequence["DeviceCodes"]) -> "DeviceCodes":
        """The rows of all parts, in this order."""
        lengths = np.concatenate([part.lengths for part in parts])
        return cls(
            _ends(lengths),
            torch.cat([part.indices for part in parts]),
            torch.cat([part.values for part in parts]),
        )

    @property
    def lengths(self) -> np.ndarray:
        """Entries per row."""
        return np.diff(self.indptr)

    def part(self, rows: slice) -> "DeviceCodes":
        """Consecutive rows."""
        ends = self.indptr[rows.start : rows.stop + 1]
        entries = slice(int(ends[0]), int(ends[-1]))
        return DeviceCodes(ends - ends[0], self.indices[entries], self.values[entries])

    def take(self, rows: np.ndarray) -> "DeviceCodes":
        """Any rows, in this order; for a few of them."""
        lengths = self.lengths[rows]
        ends = _ends(lengths)
        entries = np.arange(ends[-1]) + np.repeat(self.indptr[rows] - ends[:-1], lengths)
        which = torch.as_tensor(entries, device=self.values.device)
        return DeviceCodes(ends, self.indices[which], self.values[which])

    def row_numbers(self) -> Tensor:
        """(n_entries,), the row of each entry."""
        lengths = torch.as_tensor(self.lengths, device=self.values.device)
        return torch.repeat_interleave(lengths, output_size=len(self.values))

    def dense(self, n_atoms: int) -> Tensor:
        """(n_rows, n_atoms); for one block at a time."""
        block = self.values.new_zeros((len(self.indptr) - 1, n_atoms))
        block[self.row_numbers(), self.indices] = self.values
        return block

    def with_values(self, values: Tensor) -> "DeviceCodes":
        """The same entries with other values; those that are zero are left out."""
        kept = values != 0
        n_kept = torch.cat((kept.new_zeros(1, dtype=torch.int64), kept.cumsum(0)))
        indptr = n_kept[torch.as_tensor(self.indptr, device=values.device)].cpu().numpy()
        return DeviceCodes(indptr, self.indices[kept], values[kept])

    def padded_with_empty_rows(self, n_rows: int) -> "DeviceCodes":
        """The codes and empty ones, `n_rows` in all."""
        more = np.full(n_rows + 1 - len(self.indptr), self.indptr[-1])
        return self._replace(indptr=np.concatenate((self.indptr, more)))

    def to_host(self, n_atoms: int) -> csr_array:
        """A SciPy matrix, (n_rows, n_atoms)."""
        return csr_array(
            (self.values.cpu().numpy(), self.indices.int().cpu().numpy(), self.indptr),
            shape=(len(self.indptr) - 1, n_atoms),
        )


def _ends(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
