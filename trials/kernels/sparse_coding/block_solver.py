"""The LASSO solver over blocks of signals: matrix products, certificates, threads."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array, vstack

from trials.kernels.compiled import block_rounds, codes, penalty_path
from trials.kernels.compiled.cache import ensure_compiled
from trials.kernels.compiled.loops import mirror
from trials.kernels.sparse_coding._block import Block, block_size
from trials.kernels.threads import for_each_block

_MAX_STALLED = 3
_GRAM_ROWS = 256
_ROOM = 32  # initial room: entries per code of a path
_LINE = 64  # bytes of a cache line


class Solution(NamedTuple):
    """Codes of all signals.

    Attributes:
        codes: (n_signals, n_atoms).
        gap: duality gap over `1/2 ||x||^2`; 0 for zero signals.
        n_rounds: working-set rounds.
        objective: `1/2 ||x - a D||^2 + penalty ||a||_1`.
    """

    codes: csr_array
    gap: Float[np.ndarray, " n_signals"]
    n_rounds: Int[np.ndarray, " n_signals"]
    objective: Float[np.ndarray, " n_signals"]


class BlockSolver:
    """One dictionary, prepared to code signals.

    Arguments are not checked: they must be finite, contiguous and of one type. Without `certify`
    the gaps and objectives are estimates in that type, and cost no matrix product.
    """

    def __init__(
        self,
        atoms: Float[np.ndarray, "n_atoms d_model"],
        *,
        nonnegative: bool,
        tolerance: float,
        n_threads: int,
        certify: bool = True,
    ) -> None:
        ensure_compiled(atoms.dtype)
        self.atoms = atoms
        self.nonnegative = nonnegative
        self.tolerance = tolerance
        self.certify = certify
        self.n_threads = n_threads
        n_padded = -(-len(atoms) // codes.CHUNK) * codes.CHUNK
        self.transposed = np.zeros((atoms.shape[1], n_padded), atoms.dtype)
        self.transposed[:, : len(atoms)] = atoms.T
        self.gram = gram_matrix(atoms, self.transposed, n_threads)
        norms = np.sqrt(np.einsum("ij,ij->i", atoms, atoms, dtype=np.float64))
        # Rounding bound of <d_i, d_j>, and of <r, d_j> over ||r||: twice the worst case, times the
        # largest norm of an atom, since a step of a code multiplies by an atom once more.
        self.norm = float(norms.max())
        eps = float(np.finfo(atoms.dtype).eps)
        self.rounding = atoms.shape[1] * eps * norms.max() * max(norms.max(), 1.0)

    def solve(
        self,
        signals: Float[np.ndarray, "n_signals d_model"],
        penalties: Float[np.ndarray, " n_signals"],
        warm_start: csr_array | None,
    ) -> Solution:
        """Codes of all signals, the same for any number of threads: blocks follow the shapes."""
        n_signals = len(signals)
        gaps, objectives = np.zeros(n_signals), np.zeros(n_signals)
        n_rounds = np.zeros(n_signals, dtype=np.int64)

        def work(block: Block, part: slice) -> None:
            self._solve_block(block)
            gaps[part] = block.gaps
            objectives[part] = block.objectives
            n_rounds[part] = block.n_rounds

        codes = self._of_blocks(signals, penalties, warm_start, work)
        return Solution(codes, gaps, n_rounds, objectives)

    def refit(
        self,
        signals: Float[np.ndarray, "n_signals d_model"],
        penalties: Float[np.ndarray, " n_signals"],
        codes: csr_array,
    ) -> csr_array:
        """Minimise over the support of each code only: cheap, and without a certificate."""

        def work(block: Block, part: slice) -> None:
            block_rounds.refit(
                block.signals,
                self.atoms,
                *block.codes,
                block.half_energies,
                block.penalties,
                self.tolerance,
                self.gram,
                self.nonnegative,
            )

        return self._of_blocks(signals, penalties, codes, work)

    def _of_blocks(
        self,
        signals: Float[np.ndarray, "n_signals d_model"],
        penalties: Float[np.ndarray, " n_signals"],
        start: csr_array | None,
        work: Callable[[Block, slice], None],
    ) -> csr_array:
        """Call `work(block, part)` on each block of rows, and gather the codes it leaves there."""
        n_signals, n_atoms = len(signals), len(self.atoms)
        size = block_size(n_signals, n_atoms)
        lengths = np.zeros(n_signals, dtype=np.int64)
        entries = [(lengths, lengths)] * -(-n_signals // size)

        def make_worker() -> Callable[[int], None]:
            whole = Block.empty(min(size, n_signals), self.atoms)

            def on_block(number: int) -> None:
                first = number * size
                part = slice(first, min(first + size, n_signals))
                block = whole.head(part.stop - first)
                block.load(signals[part], penalties[part], start, first)
                work(block, part)
                entries[number] = block.entries(n_atoms)
                lengths[part] = block.sizes

            return on_block

        for_each_block(len(entries), make_worker, self.n_threads)
        return csr_array(
            (
                np.concatenate([values for _, values in entries]),
                np.concatenate([indices for indices, _ in entries]),
                np.concatenate(([0], np.cumsum(lengths))),
            ),
            shape=(n_signals, n_atoms),
        )

    def follow(
        self,
        signals: Float[np.ndarray, "n_signals d_model"],
        paths: Float[np.ndarray, "n_signals n_penalties"],
    ) -> list[Solution]:
        """Codes along falling penalties, one solution per penalty (objectives left at 0).

        A signal follows its whole path before the next begins, so its correlations, working set
        and Gram sub-block are reused for the next penalty. Always certified.
        """
        (n_signals, n_penalties), n_atoms = paths.shape, len(self.atoms)
        size = block_size(n_signals, n_atoms)
        n_blocks = -(-n_signals // size)
        gaps = np.zeros(paths.shape)
        n_rounds = np.zeros(paths.shape, dtype=np.int64)
        codes: list[list[csr_array]] = [[] for _ in range(n_blocks)]

        def make_worker() -> Callable[[int], None]:
            whole = Block.empty(min(size, n_signals), self.atoms)

            def work(number: int) -> None:
                first = number * size
                part = slice(first, min(first + size, n_signals))
                block = whole.head(part.stop - first)
                block.load(signals[part], paths[part, 0], None, first)
                np.matmul(block.signals, self.transposed, out=block.correlations)
                lengths = np.zeros(paths[part].shape, dtype=np.int64)
                room = _ROOM * lengths.size
                indices, values = penalty_path.follow(
                    block.signals,
                    self.atoms,
                    block.correlations,
                    paths[part] / block.scales[:, None],
                    self.tolerance,
                    block.half_energies,
                    block.scales,
                    self.gram,
                    self.rounding,
                    self.nonnegative,
                    np.empty(room, np.int32),
                    np.empty(room, self.atoms.dtype),
                    lengths,
                    gaps[part],
                    n_rounds[part],
                )
                ends = np.concatenate(([0], np.cumsum(lengths)))
                every = csr_array((values, indices, ends), shape=(lengths.size, n_atoms))
                codes[number] = [every[p::n_penalties] for p in range(n_penalties)]
                gaps[part] /= np.where(block.half_energies > 0, block.half_energies, 1)[:, None]

            return work

        for_each_block(n_blocks, make_worker, self.n_threads)
        whole: dict[int, csr_array] = {}

        def join(p: int) -> None:
            whole[p] = vstack([parts[p] for parts in codes], format="csr")

        for_each_block(n_penalties, lambda: join, self.n_threads)
        return [
            Solution(whole[p], np.maximum(gaps[:, p], 0.0), n_rounds[:, p], np.zeros(n_signals))
            for p in range(n_penalties)
        ]

    def _solve_block(self, block: Block) -> None:
        """Alternate working-set rounds and certificates until every signal is certified."""
        targets = self.tolerance * block.half_energies
        rows = np.flatnonzero(block.half_energies > 0)
        best = np.full(len(targets), np.inf)
        n_stalled = np.zeros(len(targets), dtype=np.int64)
        residuals = self._first_residuals(block, rows)
        while len(rows):
            n = len(rows)
            correlations, sums = block.correlations[:n], block.sums[:n]
            np.matmul(residuals, self.transposed, out=correlations)
            gaps = np.empty(n)
            block_rounds.improve(
                correlations,
                block.signals,
                self.atoms,
                *block.codes,
                rows,
                sums,
                block.penalties,
                targets,
                self.gram,
                self.rounding,
                self.norm,
                self.nonnegative,
                self.certify,
                block.residuals,
                gaps,
                block.n_rounds,
            )
            block.record(rows, gaps, sums)
            if not self.certify:
                return
            n_stalled[rows] = np.where(gaps > 0.9 * best[rows], n_stalled[rows] + 1, 0)
            best[rows] = np.minimum(best[rows], gaps)
            live = (gaps > targets[rows]) & (n_stalled[rows] < _MAX_STALLED)
            rows = rows[live]
            block.residuals[: len(rows)] = block.residuals[:n][live]
            sums[: len(rows)] = sums[live]
            residuals = block.residuals[: len(rows)]

    def _first_residuals(self, block: Block, rows: np.ndarray) -> np.ndarray:
        if block.sizes.any() or len(rows) < len(block.signals):
            n = len(rows)
            codes.subtract_reconstructions(
                block.signals,
                self.atoms,
                *block.codes,
                rows,
                block.residuals[:n],
                block.sums[:n],
            )
            return block.residuals[:n]
        block.sums[:, 0] = 2 * block.half_energies
        block.sums[:, 1] = 0
        return block.signals


def gram_matrix(
    atoms: Float[np.ndarray, "n_atoms d_model"],
    transposed: Float[np.ndarray, "d_model n_padded"],
    n_threads: int,
) -> Float[np.ndarray, "n_atoms n_atoms"]:
    """`atoms @ atoms.T`, with each product computed once."""
    n_atoms = len(atoms)
    gram = _aligned((n_atoms, n_atoms), atoms.dtype)

    def work(block: int) -> None:
        first = block * _GRAM_ROWS
        last = min(first + _GRAM_ROWS, n_atoms)
        np.matmul(atoms[first:last], transposed[:, first:n_atoms], out=gram[first:last, first:])
        mirror(gram, first, last)

    for_each_block(-(-n_atoms // _GRAM_ROWS), lambda: work, n_threads)
    return gram


def _aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An empty array that starts on a cache line; NumPy's own may straddle two."""
    n_bytes = int(np.prod(shape)) * dtype.itemsize
    raw = np.empty(n_bytes + _LINE, np.uint8)
    first = -raw.ctypes.data % _LINE
    return raw[first : first + n_bytes].view(dtype).reshape(shape)
