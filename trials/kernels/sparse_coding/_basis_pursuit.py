"""The solver of exact sparse codes: ADMM for a block of signals, then a simplex method for each."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import lapack

from trials.kernels.compiled import simplex

_ADMM_STEPS = 200
# Of the shrinkage, over the mean size of the smallest code times n_atoms / rank; by measurement.
_THRESHOLD = 0.5
_RANK_TOLERANCE = 1e-10
_DEPENDENT = 1e-5
_LEAST_PIVOT = 1e-8
_PERTURBATIONS = (1e-6, 1e-9, 0.0)
_PIVOTS_A_DIMENSION = 20
_LEAST_TOLERANCE = 1e-11
_TINY = 1e-30


class Vertex(NamedTuple):
    """A code of independent atoms, and multipliers that prove it.

    Attributes:
        atoms: (n_active,) indices.
        values: (n_active,) their coefficients.
        nu: (rank,) multipliers in the solver's coordinates.
        n_pivots: of the simplex method.
        outside_cone: no nonnegative code is exact; this one is empty.
    """

    atoms: Int[np.ndarray, " n_active"]
    values: Float[np.ndarray, " n_active"]
    nu: Float[np.ndarray, " rank"]
    n_pivots: int = 0
    outside_cone: bool = False


class BasisPursuit:
    """One dictionary, in coordinates of its span in which its columns are orthonormal.

    There the projection onto `a D = x` needs no factor, and bases are better conditioned. Codes
    and correlations `<d_j, nu>` do not change with the coordinates. Everything is trusted to be
    finite, contiguous and float64.
    """

    def __init__(
        self,
        atoms: Float[np.ndarray, "n_atoms d_model"],
        *,
        nonnegative: bool,
        tolerance: float,
        exact: float,
    ) -> None:
        _, singular, rotation = np.linalg.svd(np.linalg.qr(atoms, mode="r"), full_matrices=False)
        self.rank = int((singular > _RANK_TOLERANCE * singular[0]).sum())
        # From signals to these coordinates, and back.
        self.whitening = rotation[: self.rank].T / singular[: self.rank]
        self.colouring = rotation[: self.rank] * singular[: self.rank, None]
        self.atoms = np.ascontiguousarray(atoms @ self.whitening)
        self.atoms32 = self.atoms.astype(np.float32)
        self.transposed32 = np.ascontiguousarray(self.atoms32.T)
        self.nothing = Vertex(np.empty(0, np.int64), np.empty(0), np.zeros(self.rank))
        self.nonnegative = nonnegative
        self.tolerance = tolerance
        self.exact = exact

    def solve(self, signals: Float[np.ndarray, "n_block d_model"]) -> list[Vertex]:
        """A vertex for each signal, of norm 1: of its projection onto the span of the atoms."""
        targets = signals @ self.whitening
        codes, subgradients = self._admm(targets)
        multipliers = subgradients @ self.atoms
        return [
            self._read_off(targets[i], codes[i], multipliers[i])
            or self._optimal_vertex(targets[i], codes[i], subgradients[i])
            for i in range(len(targets))
        ]

    def _admm(
        self, targets: Float[np.ndarray, "n_block rank"]
    ) -> tuple[Float[np.ndarray, "n_block n_atoms"], Float[np.ndarray, "n_block n_atoms"]]:
        """Sparse iterates, up to a factor, and subgradients, by a few steps in float32."""
        norms = np.linalg.norm(targets, axis=1, keepdims=True)
        targets = (targets / np.where(norms > 0, norms, 1.0)).astype(np.float32)
        shift = targets @ self.transposed32
        thresholds = np.abs(shift).sum(axis=1) * np.float32(_THRESHOLD / self.rank) + _TINY
        v, z = shift.copy(), shift.copy()
        for _ in range(_ADMM_STEPS):
            np.matmul(v @ self.atoms32 - targets, self.transposed32, out=shift)
            simplex.shrink(v, shift, z, thresholds, self.nonnegative)
        return z.astype(np.float64), (z - v).astype(np.float64) / thresholds[:, None]

    def _read_off(
        self,
        target: Float[np.ndarray, " rank"],
        code: Float[np.ndarray, " n_atoms"],
        nu: Float[np.ndarray, " rank"],
    ) -> Vertex | None:
        """The code on the support that ADMM found, if it is exact, sparse and proved optimal."""
        fit = self._fit(target, np.flatnonzero(code))
        if fit is None:
            return None
        active, values, factor = fit
        if self.nonnegative and (values < 0).any():
            return None
        rows = self.atoms[active]
        # The nearest multipliers that are right on the support.
        missing, _ = lapack.dpotrs(factor, np.sign(values) - rows @ nu)
        vertex = Vertex(active, values, nu + missing @ rows)
        return vertex if self._gap(target, vertex) <= self.tolerance else None

    def _fit(
        self, target: Float[np.ndarray, " rank"], active: Int[np.ndarray, " n_active"]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Least squares on some atoms less those it needs not: atoms, values, Cholesky factor.

        None if the atoms are dependent, or as many as the rank, or leave a residual.
        """
        while 0 < len(active) < self.rank:
            rows = self.atoms[active]
            gram = rows @ rows.T
            factor, values, info = lapack.dposv(gram, rows @ target)
            if info or (factor.diagonal() <= _DEPENDENT * np.sqrt(gram.diagonal())).any():
                return None
            # Once more on the residual: the Gram matrix squares the condition.
            values += lapack.dpotrs(factor, rows @ (target - values @ rows))[0]
            if not self._is_small(target - values @ rows):
                return None
            needed = np.abs(values) > self.exact * np.abs(values).max()
            if needed.all():
                return active, values, factor
            active = active[needed]
        return None

    def _is_small(self, residual: Float[np.ndarray, " rank"]) -> bool:
        """Whether a residual is zero to rounding, compared with a signal of norm 1."""
        return bool(np.linalg.norm(residual @ self.colouring) <= 0.5 * self.exact)

    def _optimal_vertex(
        self,
        target: Float[np.ndarray, " rank"],
        code: Float[np.ndarray, " n_atoms"],
        subgradient: Float[np.ndarray, " n_atoms"],
    ) -> Vertex:
        """The optimal vertex by the simplex method, from a basis of the likely atoms."""
        if self._is_small(target):
            return self.nothing
        rng = np.random.default_rng(0)
        n_pivots = 0
        nu = np.empty(self.rank)
        # Above the multipliers of the optimum, of which ADMM gives the size.
        cost_of_negatives = 10.0 * max(10.0, -float(subgradient.min()))
        basis, inverse = self._likely_basis(code, subgradient)
        for perturbation in _PERTURBATIONS:
            values = inverse @ target
            # Where coefficients are zero, steps would be too, and might go round in circles.
            nudge = perturbation * np.abs(values).max() * rng.uniform(0.5, 1.0, self.rank)
            values += nudge if self.nonnegative else np.copysign(nudge, values)
            n_pivots += self._minimise(basis, inverse, values, cost_of_negatives, nu)
            if self.nonnegative and _some_negative(values):
                return self.nothing._replace(n_pivots=n_pivots, outside_cone=True)
            vertex = self._vertex(target, basis, inverse, nu)
            if self._gap(target, vertex) <= self.tolerance:
                break
        return vertex._replace(n_pivots=n_pivots)

    def _likely_basis(
        self, code: Float[np.ndarray, " n_atoms"], subgradient: Float[np.ndarray, " n_atoms"]
    ) -> tuple[Int[np.ndarray, " rank"], Float[np.ndarray, "rank rank"]]:
        """Independent atoms, those in use first, and the transposed inverse of their matrix.

        Gaussian elimination with the likely atoms scaled up picks them as pivots, and passes over
        an atom that those before it span.
        """
        used = np.abs(code)
        reach = (subgradient if self.nonnegative else np.abs(subgradient)).clip(0.1, 1.0)
        weights = np.where(used > 0, used / max(used.max(), _TINY), 1e-5 * reach**8)
        order = np.argsort(-weights, kind="stable")
        for n in (self.rank + self.rank // 4, len(order)):
            picks = order[:n].copy()
            scaled = np.asfortranarray(self.atoms[picks] * weights[picks, None])
            factors, swaps, _ = lapack.dgetrf(scaled, overwrite_a=True)
            for i, swap in enumerate(swaps):
                picks[i], picks[swap] = picks[swap], picks[i]
            basis = picks[: self.rank]
            if (np.abs(factors.diagonal()) > _LEAST_PIVOT * weights[basis]).all():
                break
        square = np.asfortranarray(factors[: self.rank])
        inverse, _ = lapack.dgetri(square, np.arange(self.rank), overwrite_lu=True)
        return basis, np.ascontiguousarray((inverse * weights[basis]).T)

    def _minimise(
        self,
        basis: Int[np.ndarray, " rank"],
        inverse: Float[np.ndarray, "rank rank"],
        values: Float[np.ndarray, " rank"],
        cost_of_negatives: float,
        nu: Float[np.ndarray, " rank"],
    ) -> int:
        """Bring a basis to its optimum in place; returns the number of pivots."""

        def run(up: float, down: float) -> int:
            return int(
                simplex.minimise(
                    self.atoms,
                    basis,
                    inverse,
                    values,
                    up,
                    down,
                    max(0.5 * self.tolerance, _LEAST_TOLERANCE),
                    _PIVOTS_A_DIMENSION * self.rank,
                    nu,
                )
            )

        if not self.nonnegative:
            return run(1.0, 1.0)
        n_pivots = 0
        # A cost of being negative mostly leads straight to the optimum. Where negative coefficients
        # stay, they become the only cost; where they stay again, there is no nonnegative code.
        if _some_negative(values):
            n_pivots += run(1.0, cost_of_negatives)
        if _some_negative(values):
            n_pivots += run(0.0, 1.0)
        if not _some_negative(values):
            n_pivots += run(1.0, np.inf)
        return n_pivots

    def _vertex(
        self,
        target: Float[np.ndarray, " rank"],
        basis: Int[np.ndarray, " rank"],
        inverse: Float[np.ndarray, "rank rank"],
        nu: Float[np.ndarray, " rank"],
    ) -> Vertex:
        """The code of a basis, refined, without zeros and, if asked for, without negatives."""
        rows = self.atoms[basis]
        values = inverse @ target
        values += inverse @ (target - values @ rows)
        if np.linalg.norm(target - values @ rows) > 1e-11 * np.linalg.norm(target):
            inverse[:] = np.linalg.inv(rows).T
            values = inverse @ target
        fit = self._fit(target, basis[np.abs(values) > self.exact * np.abs(values).max()])
        active, values = (basis.copy(), values) if fit is None else fit[:2]
        if self.nonnegative:
            active, values = active[values > 0], values[values > 0]
        return Vertex(active, values, nu.copy())

    def _gap(self, target: Float[np.ndarray, " rank"], vertex: Vertex) -> float:
        """Of `||a||_1` to the bound that the multipliers give, relative."""
        correlations = self.atoms @ vertex.nu
        top = (correlations if self.nonnegative else np.abs(correlations)).max()
        return 1.0 - float(target @ vertex.nu) / max(top, 1.0) / np.abs(vertex.values).sum()


def _some_negative(values: Float[np.ndarray, " rank"]) -> bool:
    return bool(values.min() < -1e-9 * np.abs(values).max())
