"""Dictionary learning on all rows at once, by exact alternation."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from trials.kernels.dictionaries._device_steps import DeviceSteps
from trials.kernels.dictionaries._statistics import starting_atoms
from trials.kernels.dictionaries._steps import CompiledSteps, Rows, Steps
from trials.kernels.sparse_coding.checks import Penalty, check_penalties, check_problem
from trials.kernels.threads import thread_count

_LOOSEST_GAP = 1e-2
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
    device: str = "cpu",
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
        device: "cpu", or "cuda:0" for torch there: the same passes, with other rounding.

    Raises:
        ValueError: as `lasso_codes`; or weights that are negative or all zero, n_atoms or
            max_passes below 1, a tolerance that is not positive.
    """
    weights = _check(signals, n_atoms, weights, tolerance, gap_tolerance, max_passes)
    penalties = check_penalties(l1_penalty, len(signals))
    atoms = starting_atoms(signals, n_atoms, warm_start, rng)
    check_problem(signals, atoms)
    order = rng.permutation(len(signals))
    rows = Rows(np.ascontiguousarray(signals[order]), weights[order], penalties[order])
    steps: Steps
    if device == "cpu":
        steps = CompiledSteps(atoms, nonnegative, rng, thread_count(n_threads))
    else:
        steps = DeviceSteps(rows.signals, atoms, nonnegative, rng, device)
    learner = _Learner(steps)
    # A warm start is past the stage in which part of the rows would do.
    stages = _stages(len(signals), n_atoms) if warm_start is None else [len(signals)]
    for n_rows in stages:
        if n_rows < len(signals):
            learner.run_early(rows.head(n_rows), max_passes - 2)
        else:
            converged = learner.run(rows, tolerance, gap_tolerance, max_passes)
    return LearnedDictionary(
        steps.atoms,
        np.array(learner.objective),
        len(learner.objective),
        learner.n_reseeded,
        converged,
        steps.codes[np.argsort(order)],
        learner.gap,
    )


def _stages(n_rows: int, n_atoms: int) -> list[int]:
    """Numbers of rows for each stage of learning; the last is all of them.

    Far from any optimum, a pass over part of the rows teaches a dictionary as much as one over all.
    """
    first = max(_FIRST_ROWS_PER_ATOM * n_atoms, n_rows // 8)
    return [n for n in (first, 4 * first) if 2 * n <= n_rows] + [n_rows]


class _Learner:
    """Passes over the rows until the objective settles."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self.gap = np.nan
        self.objective: list[float] = []
        self.n_reseeded = 0

    def run_early(self, rows: Rows, max_passes: int) -> None:
        """Alternate on part of the rows until the gain is small or `max_passes` are done in total.

        Ends with an update of the atoms, since the next codes are of other rows.
        """
        before = change = np.inf
        while len(self.objective) < max_passes and change > _EARLY_TOLERANCE:
            self._code(rows, _LOOSEST_GAP, certify=False)
            change = (before - self.objective[-1]) / self.objective[-1]
            before = self.objective[-1]
            self._fit(rows, _LOOSEST_GAP, change)

    def run(self, rows: Rows, tolerance: float, gap_tolerance: float, max_passes: int) -> bool:
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

    def _code(self, rows: Rows, gap: float, *, certify: bool) -> None:
        objective, self.gap = self.steps.code(rows, gap, certify=certify)
        self.objective.append(objective)

    def _fit(self, rows: Rows, gap: float, change: float) -> None:
        """Fit atoms to codes, and codes to atoms with their supports fixed, a few times."""
        momentum = _MOMENTUM if 0 < change < np.inf else 0.0
        self.n_reseeded += self.steps.update(rows, momentum)
        for _ in range(_N_REFITS):
            self.steps.refit(rows, gap)
            self.n_reseeded += self.steps.update(rows, momentum)


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
