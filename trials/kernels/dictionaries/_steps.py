"""The steps of learning on compiled loops: codes, refits and updates of the atoms."""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from trials.kernels.compiled.dictionary_update import update_atoms
from trials.kernels.dictionaries._statistics import mixed_residuals, statistics, unit_rows
from trials.kernels.sparse_coding.block_solver import BlockSolver

_MAX_RESEEDED_FRAC = 0.05


class Rows(NamedTuple):
    """Rows to learn from; `weights` sum to 1."""

    signals: Float[np.ndarray, "n_rows d_model"]
    weights: Float[np.ndarray, " n_rows"]
    penalties: Float[np.ndarray, " n_rows"]

    def head(self, n_rows: int) -> "Rows":
        """The first rows."""
        weights = self.weights[:n_rows]
        total = weights.sum()
        weights = weights / total if total > 0 else np.full(n_rows, 1.0 / n_rows)
        return Rows(self.signals[:n_rows], weights, self.penalties[:n_rows])


class Coded(NamedTuple):
    """What a coding pass reached: weighted mean objective, worst gap (NaN if not certified)."""

    objective: float
    gap: float


@runtime_checkable
class Steps(Protocol):
    """The current dictionary, the codes of the rows seen so far, and what changes them."""

    @property
    def atoms(self) -> Float[np.ndarray, "n_atoms d_model"]:
        """The dictionary."""

    @property
    def codes(self) -> csr_array:
        """The codes of the last pass."""

    def code(self, rows: Rows, gap: float, *, certify: bool) -> Coded:
        """Code the rows, from the codes that there are."""

    def refit(self, rows: Rows, gap: float) -> None:
        """Fit the codes to the atoms with their supports fixed."""

    def update(self, rows: Rows, momentum: float) -> int:
        """Fit the atoms to the codes; the number of unused atoms that were drawn again."""


def reseeded_now(dead: np.ndarray, n_atoms: int) -> np.ndarray:
    """The unused atoms that are drawn again in one update."""
    return dead[: max(1, int(_MAX_RESEEDED_FRAC * n_atoms))]


class CompiledSteps:
    """`Steps` on compiled loops. The result does not depend on `n_threads`."""

    def __init__(
        self,
        atoms: Float[np.ndarray, "n_atoms d_model"],
        nonnegative: bool,
        rng: np.random.Generator,
        n_threads: int,
    ) -> None:
        self.atoms = atoms
        self.updated = atoms
        self.nonnegative = nonnegative
        self.rng = rng
        self.n_threads = n_threads
        self.codes = csr_array((0, len(atoms)), dtype=atoms.dtype)

    def code(self, rows: Rows, gap: float, *, certify: bool) -> Coded:
        """As `Steps.code`."""
        solver = self._solver(gap, certify=certify)
        missing = len(rows.signals) - self.codes.shape[0]
        warm = self.codes
        if missing:
            indptr = np.concatenate((warm.indptr, np.full(missing, warm.indptr[-1])))
            warm = csr_array(
                (warm.data, warm.indices, indptr), shape=(len(rows.signals), len(self.atoms))
            )
        solution = solver.solve(rows.signals, rows.penalties, warm)
        self.codes = solution.codes
        worst = float(solution.gap.max()) if certify else np.nan
        return Coded(float(rows.weights @ solution.objective), worst)

    def refit(self, rows: Rows, gap: float) -> None:
        """As `Steps.refit`."""
        solver = self._solver(gap, certify=False)
        self.codes = solver.refit(rows.signals, rows.penalties, self.codes)

    def update(self, rows: Rows, momentum: float) -> int:
        """Exact block update of the atoms, extrapolated along the change since the last one."""
        usage, cross = statistics(rows.signals, rows.weights, self.codes, self.n_threads)
        dead = np.flatnonzero(np.diagonal(usage) <= 0)
        updated = update_atoms(self.atoms, usage, cross)
        self.atoms = unit_rows(updated + momentum * (updated - self.updated))
        dead = reseeded_now(dead, len(updated))
        if len(dead):
            updated[dead] = mixed_residuals(
                rows.signals, rows.weights, self.codes, updated, len(dead), self.rng
            )
            self.atoms[dead] = updated[dead]
        self.updated = updated
        return len(dead)

    def _solver(self, gap: float, *, certify: bool) -> BlockSolver:
        return BlockSolver(
            self.atoms,
            nonnegative=self.nonnegative,
            tolerance=gap,
            n_threads=self.n_threads,
            certify=certify,
        )
