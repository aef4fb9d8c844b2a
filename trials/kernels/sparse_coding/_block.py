"""Scratch arrays for a block of signals and their codes, as the compiled loops want them."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from trials.kernels.compiled import codes

_BLOCK_ENTRIES = 1 << 21
_FEWEST_BLOCKS, _EVEN = 8, 4


def block_size(n_signals: int, n_atoms: int) -> int:
    """Signals per block. It depends on the shapes only, so the codes do not depend on threads.

    Blocks are large, since each reads the whole dictionary, but their correlations fit a few
    megabytes. They are nearly equal, and numerous enough to balance a few threads.
    """
    most = min(max(_BLOCK_ENTRIES // n_atoms, 1), 512)
    n_blocks = max(_FEWEST_BLOCKS, _EVEN * -(-n_signals // (_EVEN * most)))
    return max(-(-n_signals // n_blocks), 64)


class Block(NamedTuple):
    """Scratch arrays of one worker for a block of signals, scaled to norms near 1."""

    signals: np.ndarray
    penalties: np.ndarray
    scales: np.ndarray
    half_energies: np.ndarray
    supports: np.ndarray
    values: np.ndarray
    sizes: np.ndarray
    correlations: np.ndarray
    residuals: np.ndarray
    sums: np.ndarray
    gaps: np.ndarray
    objectives: np.ndarray
    n_rounds: np.ndarray

    @classmethod
    def empty(cls, size: int, atoms: Float[np.ndarray, "n_atoms d_model"]) -> "Block":
        """Uninitialised scratch for at most `size` signals."""
        n_atoms, d_model = atoms.shape
        kind = atoms.dtype
        return cls(
            signals=np.empty((size, d_model), kind),
            penalties=np.empty(size),
            scales=np.empty(size),
            half_energies=np.empty(size),
            supports=np.empty((size, n_atoms), np.uint32),
            values=np.empty((size, n_atoms), kind),
            sizes=np.empty(size, np.int64),
            correlations=np.empty((size, -(-n_atoms // codes.CHUNK) * codes.CHUNK), kind),
            residuals=np.empty((size, d_model), kind),
            sums=np.empty((size, 2)),
            gaps=np.empty(size),
            objectives=np.empty(size),
            n_rounds=np.empty(size, np.int64),
        )

    def head(self, n: int) -> "Block":
        """The first n rows, as views."""
        return Block(*(array[:n] for array in self))

    @property
    def codes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The three arrays that are a block of codes (`compiled.codes`)."""
        return self.supports, self.values, self.sizes

    def load(
        self, signals: np.ndarray, penalties: np.ndarray, warm_start: csr_array | None, first: int
    ) -> None:
        codes.prepare(
            signals, penalties, self.signals, self.scales, self.half_energies, self.penalties
        )
        self.sizes[:] = 0
        if warm_start is not None:
            codes.load(
                warm_start.indptr,
                warm_start.indices,
                warm_start.data,
                first,
                self.scales,
                *self.codes,
            )
            self.sizes[self.half_energies == 0] = 0
        for array in (self.gaps, self.objectives, self.n_rounds):
            array[:] = 0

    def record(self, rows: np.ndarray, gaps: np.ndarray, sums: np.ndarray) -> None:
        self.gaps[rows] = np.maximum(gaps, 0.0) / self.half_energies[rows]
        objectives = 0.5 * sums[:, 0] + self.penalties[rows] * sums[:, 1]
        self.objectives[rows] = objectives * self.scales[rows] ** 2

    def entries(self, n_atoms: int) -> tuple[np.ndarray, np.ndarray]:
        indices = np.empty(int(self.sizes.sum()), np.int32)
        values = np.empty(len(indices), self.values.dtype)
        n = codes.store(*self.codes, self.scales, n_atoms, indices, values)
        return indices[:n], values[:n]
