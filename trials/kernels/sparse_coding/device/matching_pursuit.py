"""Orthogonal matching pursuit of a block of signals at once.

Each step is one product of the residuals with the dictionary. The newest atom of each signal is
made orthogonal to those before it, twice, and its share leaves the residual. Batch-OMP updates the
correlations from the Gram matrix instead: fewer operations, but each reads a row of that matrix for
each signal and each atom in use, and on a GPU reading is what takes time.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from trials.kernels.sparse_coding.device.device_codes import DeviceCodes
from trials.kernels.sparse_coding.device.memory import (
    block_of,
    float32_products,
    for_each_part,
    resident,
    rows_per_block,
)
from trials.kernels.sparse_coding.device.supports import least_squares, squared_errors
from trials.lazy import lazy_module

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:  # torch takes a second to import; annotations are also read at run time
    torch = lazy_module("torch")
    Tensor = Any


class DevicePursuit:
    """Matching pursuit over one dictionary. Arguments as in `compiled.matching_pursuit.pursue`."""

    def __init__(self, atoms: np.ndarray, device: str) -> None:
        self.device = device
        self.atoms = torch.as_tensor(atoms, device=device)
        wide = self.atoms.double()
        self.unit = (wide / wide.norm(dim=1, keepdim=True)).to(self.atoms.dtype)

    def run(
        self, signals: np.ndarray, counts: np.ndarray, floor: float, least_pivot: float
    ) -> tuple[DeviceCodes, np.ndarray, np.ndarray]:
        """Codes with at most `counts` atoms, their squared errors, and the fall with each atom.

        Signals have norms near 1. The falls are (n_signals, most atoms), float32.
        """
        rows = resident(signals, self.device)
        order = np.argsort(-counts, kind="stable")
        gains = np.zeros((len(signals), counts.max()), np.float32)
        lengths = np.zeros(len(signals), np.int64)
        picked: dict[int, Tensor] = {}
        n_atoms, d_model = self.atoms.shape

        def work(part: slice) -> None:
            which = order[part]
            block = block_of(rows, which, self.device)
            supports, sizes, falls = self._pursue(block, counts[which], floor, least_pivot)
            gains[which, : falls.shape[1]] = falls.cpu()
            lengths[which] = sizes.cpu()
            picked[part.start] = supports

        with float32_products(self.device, tf32=False):
            most = int(counts.max())
            bytes_per_row = self.atoms.element_size() * (2 * n_atoms + (most + 6) * d_model)
            size = rows_per_block(bytes_per_row, self.device)
            for_each_part(len(signals), size, work, self.device)
            parts = [picked[first] for first in sorted(picked)]
            codes = self._codes(parts, order, lengths)
            fitted = codes.with_values(least_squares(rows, self.atoms, codes, self.device))
            return fitted, squared_errors(rows, self.atoms, fitted, self.device), gains

    def _pursue(
        self, residuals: Tensor, wanted: np.ndarray, floor: float, least_pivot: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Supports in the order of choice, their sizes, and falls; most wanted atoms first."""
        n, most = len(residuals), int(wanted.max())
        residuals = residuals.clone()
        supports = torch.zeros((n, most), dtype=torch.int64, device=residuals.device)
        falls = torch.zeros((n, most), dtype=torch.float32, device=residuals.device)
        sizes = torch.zeros(n, dtype=torch.int64, device=residuals.device)
        basis = residuals.new_zeros((n, most, residuals.shape[1]))
        live = torch.ones(n, dtype=torch.bool, device=residuals.device)
        for step in range(most):
            m = int(np.count_nonzero(wanted > step))
            live = live[:m]
            if not bool(live.any()):
                break
            correlations = (residuals[:m] @ self.unit.T).abs_()
            top, atom = correlations.max(dim=1)
            direction = self.unit[atom]
            before = basis[:m, :step]
            for _ in range(2):  # once leaves rounding errors of nearly dependent atoms
                inside = before @ direction[:, :, None]
                direction = direction - (before.mT @ inside)[:, :, 0]
            pivot = direction.double().square().sum(dim=1)
            live = live & (top > floor) & (pivot > least_pivot)
            direction *= torch.where(live, pivot, 1.0).rsqrt().to(direction.dtype)[:, None]
            direction = torch.where(live[:, None], direction, 0.0)
            share = (direction * residuals[:m]).sum(dim=1)
            residuals[:m] -= share[:, None] * direction
            basis[:m, step] = direction
            supports[:m, step] = atom
            falls[:m, step] = share.square()
            sizes[:m] += live
        return supports, sizes, falls

    def _codes(self, parts: list[Tensor], order: np.ndarray, lengths: np.ndarray) -> DeviceCodes:
        """Supports of rows in the given order as codes of the rows in their own; values of 1."""
        indptr = np.concatenate(([0], np.cumsum(lengths)))
        indices = torch.zeros(int(indptr[-1]), dtype=torch.int64, device=self.atoms.device)
        first = 0
        for supports in parts:
            which = order[first : first + len(supports)]
            first += len(supports)
            sizes = self._index(lengths[which])[:, None]
            places = torch.arange(supports.shape[1], device=self.atoms.device)
            used = places < sizes
            # Unused places sort behind every atom.
            ordered = torch.where(used, supports, len(self.atoms)).sort(dim=1).values
            indices[(self._index(indptr[which])[:, None] + places)[used]] = ordered[used]
        return DeviceCodes(indptr, indices, self.atoms.new_ones(len(indices)))

    def _index(self, numbers: np.ndarray) -> Tensor:
        return torch.as_tensor(numbers, device=self.device)
