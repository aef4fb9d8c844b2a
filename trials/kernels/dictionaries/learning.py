"""Dictionary learning on all rows at once, by exact alternation."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from trials.kernels.compiled.dictionary_update import update_atoms
from trials.kernels.dictionaries._statistics import (
    mixtures,
    starting_atoms,
    statistics,
    unit_rows,
)
from trials.kernels.sparse_coding.block_solver import BlockSolver
from trials.kernels.sparse_coding.checks import Penalty, check_penalties, check_problem
from trials.kernels.threads import thread_count

_LOOSEST_GAP = 1e-2
_MAX_RESEEDED_FRAC = 0.05
_MOMENTUM = 0.8
_N_REFITS = 2
_EARLY_TOLERANCE = 0.02
_FIRST_ROWS_PER_ATOM = 8


class LearnedDictionary(NamedTuple):
    """A dictionary, its codes and how it came to be.

    Attributes:
        atoms: (n_atoms, d_model), rows of unit norm.
        objective: one per pass, the weighted mean of `1/2 ||x - a D||^2 + l1_penalty ||a||_1` over
            the rows of the pass, after coding and before the update of the atoms.
        n_passes: coding passes, including those over part of the rows.
        n_reseeded: unused atoms that were drawn again, summed over the passes.
        converged: whether the objective settled within `tolerance` before `max_passes`.
        codes: (n_signals, n_atoms) codes of the last pass for exactly these atoms.
        gap: worst relative duality gap of these codes, in float64; NaN when the passes ended
            before the objective had settled enough to be certified.
    """

    atoms: Float[np.ndarray, "n_atoms d_model"]
    objective: Float[np.ndarray, " n_passes"]
    n_passes: int
    n_reseeded: int
    converged: bool
    codes: csr_array
    gap: float


def learn_dictionary(
    signals: Float[np.ndarray, "n_signals d_model"],
    n_atoms: int,
    *,
    l1_penalty: Penalty,
    weights: Float[np.ndarray, " n_weights"] | None = None,
    nonnegative: bool = False,
    tolerance: float = 1e-3,
    gap_tolerance: float = 3e-4,
    max_passes: int = 50,
    warm_start: Float[np.ndarray, "n_warm d_warm"] | None = None,
    rng: np.random.Generator,
    n_threads: int | None = None,
) -> LearnedDictionary:
    """`min_{D, a} sum_i w_i (1/2 ||x_i - a_i D||^2 + l1_penalty ||a_i||_1)`, unit-norm rows of D.

    Alternates exact codes (warm-started; their gap tightens as the objective settles, and is
    certified in the passes that may be the last) with block coordinate descent over the atoms from
    the statistics `A'WA` and `A'WX` (Mairal, Bach, Ponce and Sapiro 2010, with all rows in place of
    a stream). Between two passes over all atoms, codes and atoms are refitted to each other a
    few times with the supports fixed, at a fraction of the cost. The first passes see part of the
    rows. Momentum carries the atoms beyond each exact update as long as the objective falls. The
    weights enter the statistics only: a row's code does not depend on its weight.

    Atoms start as random mixtures of a few rows. Unused atoms restart as mixtures of residuals of
    badly reconstructed rows. No atom ever starts as a copy of a row, so an atom that equals a row
    has been learned. The result does not depend on `n_threads`.

    Args:
        signals: rows, float32 or float64, centred and scaled by the caller.
        l1_penalty: absolute, one number or one per signal.
        weights: not negative, of any scale; 1 by default.
        tolerance: stop when the objective falls by less than this fraction per pass.
        gap_tolerance: relative duality gap of the codes in the last passes.
        warm_start: atoms to start from, normalised first; every pass then sees all rows.

    Raises:
        ValueError: as `lasso_codes`; or weights that are negative or all zero, n_atoms or
            max_passes below 1, a tolerance that is not positive.
    """
    weights = _check(signals, n_atoms, weights, tolerance, gap_tolerance, max_passes)
    penalties = check_penalties(l1_penalty, len(signals))
    atoms = starting_atoms(signals, n_atoms, warm_start, rng)
    check_problem(signals, atoms)
    order = rng.permutation(len(signals))
    rows = _Rows(np.ascontiguousarray(signals[order]), weights[order], penalties[order])
    learner = _Learner(atoms, nonnegative, rng, thread_count(n_threads))
    # A warm start is past the stage in which part of the rows would do.
    stages = _stages(len(signals), n_atoms) if warm_start is None else [len(signals)]
    for n_rows in stages:
        if n_rows < len(signals):
            learner.run_early(rows.head(n_rows), max_passes - 2)
        else:
            converged = learner.run(rows, tolerance, gap_tolerance, max_passes)
    return LearnedDictionary(
        learner.atoms,
        np.array(learner.objective),
        len(learner.objective),
        learner.n_reseeded,
        converged,
        learner.codes[np.argsort(order)],
        learner.gap,
    )


class _Rows(NamedTuple):
    """Rows to learn from; `weights` sum to 1 over all rows."""

    signals: Float[np.ndarray, "n_rows d_model"]
    weights: Float[np.ndarray, " n_rows"]
    penalties: Float[np.ndarray, " n_rows"]

    def head(self, n_rows: int) -> "_Rows":
        weights = self.weights[:n_rows]
        total = weights.sum()
        weights = weights / total if total > 0 else np.full(n_rows, 1.0 / n_rows)
        return _Rows(self.signals[:n_rows], weights, self.penalties[:n_rows])


def _stages(n_rows: int, n_atoms: int) -> list[int]:
    """Numbers of rows for each stage of learning; the last is all of them.

    Far from any optimum, a pass over part of the rows teaches a dictionary as much as one over all.
    """
    first = max(_FIRST_ROWS_PER_ATOM * n_atoms, n_rows // 8)
    return [n for n in (first, 4 * first) if 2 * n <= n_rows] + [n_rows]


class _Learner:
    """The current dictionary, and the codes of the rows seen so far."""

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
        self.gap = np.nan
        self.objective: list[float] = []
        self.n_reseeded = 0

    def run_early(self, rows: _Rows, max_passes: int) -> None:
        """Alternate on part of the rows until the gain is small or `max_passes` are done in total.

        Ends with an update of the atoms, since the next codes are of other rows.
        """
        before = change = np.inf
        while len(self.objective) < max_passes and change > _EARLY_TOLERANCE:
            self._code(rows, _LOOSEST_GAP, certify=False)
            change = (before - self.objective[-1]) / self.objective[-1]
            before = self.objective[-1]
            self._fit(rows, _LOOSEST_GAP, change)

    def run(self, rows: _Rows, tolerance: float, gap_tolerance: float, max_passes: int) -> bool:
        """Alternate until the objective settles (True) or `max_passes` are done (False).

        Ends with codes of the final atoms.
        """
        gap = max(_LOOSEST_GAP, gap_tolerance)
        before = np.inf
        while True:
            self._code(rows, gap, certify=gap <= gap_tolerance)
            change = (before - self.objective[-1]) / self.objective[-1]
            before = self.objective[-1]
            converged = gap <= gap_tolerance and abs(change) < tolerance
            if converged or len(self.objective) >= max_passes:
                return converged
            self._fit(rows, gap, change)
            # Codes need only be exact to a fraction of what the next update of the atoms gains.
            wanted = 0.3 * abs(change) if abs(change) > 3 * tolerance else gap_tolerance
            gap = min(gap, max(wanted, gap_tolerance))

    def _fit(self, rows: _Rows, gap: float, change: float) -> None:
        """Fit atoms to codes, and codes to atoms with their supports fixed, a few times."""
        momentum = _MOMENTUM if 0 < change < np.inf else 0.0
        self._update(rows, momentum)
        for _ in range(_N_REFITS):
            solver = self._solver(gap, certify=False)
            self.codes = solver.refit(rows.signals, rows.penalties, self.codes)
            self._update(rows, momentum)

    def _solver(self, gap: float, *, certify: bool) -> BlockSolver:
        return BlockSolver(
            self.atoms,
            nonnegative=self.nonnegative,
            tolerance=gap,
            n_threads=self.n_threads,
            certify=certify,
        )

    def _code(self, rows: _Rows, gap: float, *, certify: bool) -> None:
        solver = self._solver(gap, certify=certify)
        missing = len(rows.signals) - self.codes.shape[0]
        warm = self.codes
        if missing:
            indptr = np.concatenate((warm.indptr, np.full(missing, warm.indptr[-1])))
            warm = csr_array(
                (warm.data, warm.indices, indptr), shape=(len(rows.signals), len(self.atoms))
            )
        solution = solver.solve(rows.signals, rows.penalties, warm)
        self.codes, self.gap = solution.codes, float(solution.gap.max()) if certify else np.nan
        self.objective.append(float(rows.weights @ solution.objective))

    def _update(self, rows: _Rows, momentum: float) -> None:
        """Exact block update of the atoms, extrapolated along the change since the last one."""
        usage, cross = statistics(rows.signals, rows.weights, self.codes, self.n_threads)
        dead = np.flatnonzero(np.diagonal(usage) <= 0)
        updated = update_atoms(self.atoms, usage, cross)
        self.atoms = unit_rows(updated + momentum * (updated - self.updated))
        dead = dead[: max(1, int(_MAX_RESEEDED_FRAC * len(updated)))]
        if len(dead):
            residuals = rows.signals - self.codes @ updated
            badness = rows.weights * np.einsum("ij,ij->i", residuals, residuals, dtype=np.float64)
            updated[dead] = mixtures(residuals, badness, len(dead), self.rng)
            self.atoms[dead] = updated[dead]
            self.n_reseeded += len(dead)
        self.updated = updated


def _check(
    signals: np.ndarray,
    n_atoms: int,
    weights: np.ndarray | None,
    tolerance: float,
    gap_tolerance: float,
    max_passes: int,
) -> Float[np.ndarray, " n_signals"]:
    """The weights, summing to 1; ValueError for an argument out of its range."""
    check_problem(signals, np.ones((1, signals.shape[-1]), dtype=signals.dtype))
    if n_atoms < 1 or max_passes < 1:
        raise ValueError(f"n_atoms is {n_atoms}, max_passes {max_passes}; both must be at least 1")
    if not (0 < tolerance < np.inf and 0 < gap_tolerance < np.inf):
        raise ValueError(
            f"tolerance is {tolerance}, gap_tolerance {gap_tolerance}; both must be positive"
        )
    if weights is None:
        return np.full(len(signals), 1.0 / len(signals))
    if weights.shape != (len(signals),):
        raise ValueError(f"weights has shape {weights.shape}; it must be ({len(signals)},)")
    weights = weights.astype(np.float64)
    total = weights.sum()
    if not (np.isfinite(total) and total > 0 and (weights >= 0).all()):
        raise ValueError("weights must be finite, not negative, and not all zero")
    return weights / total
