"""The mathematics of ADMM on a block of signals: steps, certificates, minima on given supports.

`admm` explains the method and decides which signals go on.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trials.kernels.sparse_coding.device.memory import float32_products
from trials.lazy import lazy_module

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:  # torch takes a second to import; annotations are also read at run time
    torch = lazy_module("torch")
    Tensor = Any

STEPS = 10  # per round
_OVER_RELAXATION = 1.8


class Problem(NamedTuple):
    """What all blocks share, on the device.

    Attributes:
        atoms: (n_atoms, d_model), each times its weight; in float64, or in the type of the signals
            where certificates may be estimates.
        weights: (n_atoms,) powers of two that bring the norms of the atoms near 1, so that one rho
            suits them all. Codes of the scaled atoms times the weights are codes of the given ones.
        basis: (n_atoms, rank), `U S^1/2` of the Gram matrix `U S U'`, in the type of the signals.
        eigenvalues: (rank,), `S`.
        nonnegative: whether codes must be nonnegative.
    """

    atoms: Tensor
    weights: Tensor
    basis: Tensor
    eigenvalues: Tensor
    nonnegative: bool

    @classmethod
    def prepare(
        cls,
        rows: np.ndarray | Tensor,
        device: str,
        nonnegative: bool,
        *,
        certify: bool = True,
    ) -> "Problem":
        """For the atoms `rows`. Without `certify`, gaps are estimates in the type of the atoms."""
        given = torch.as_tensor(rows, device=device)
        atoms = given.to(torch.float64, copy=True)
        weights = torch.exp2(-torch.round(torch.log2(atoms.norm(dim=1))))
        atoms *= weights[:, None]
        # From the smaller Gram matrix and without a division, so that a low rank does no harm.
        if len(atoms) < atoms.shape[1]:
            eigenvalues, vectors = torch.linalg.eigh(atoms @ atoms.T)
            basis = vectors * eigenvalues.clamp(min=0.0).sqrt()
        else:
            eigenvalues, vectors = torch.linalg.eigh(atoms.T @ atoms)
            basis = atoms @ vectors
        eigenvalues = eigenvalues.clamp(min=0.0).to(given.dtype)
        kind = torch.float64 if certify else given.dtype
        return cls(atoms.to(kind), weights, basis.to(given.dtype), eigenvalues, nonnegative)

    def bounds(self, live: "Live") -> tuple[Tensor | None, Tensor]:
        """Lower and upper bounds of feasible correlations with the residual, (n, n_atoms)."""
        upper = (live.penalties * self.weights).to(live.codes.dtype)
        return None if self.nonnegative else -upper, upper

    def certificate(self, live: "Live", codes: Tensor) -> "Certificate":
        """As `certificate.duality_gap` defines it, with the weights of the atoms."""
        wide = codes.to(self.atoms.dtype)
        residuals = torch.addmm(live.signals, wide, self.atoms, alpha=-1.0)
        correlations = residuals @ self.atoms.T
        relative = correlations / self.weights.to(correlations.dtype)
        top = (relative if self.nonnegative else relative.abs()).amax(dim=1).clamp(min=0.0)
        energy = residuals.square().sum(dim=1)
        product = (live.signals * residuals).sum(dim=1)
        penalties = live.penalties[:, 0]
        bound = torch.where(top > 0, penalties / top, torch.inf)
        wanted = torch.where(energy > 0, product / energy, 0.0)
        lower = torch.zeros_like(bound) if self.nonnegative else -bound
        scale = wanted.clamp(lower, bound)
        primal = 0.5 * energy + penalties * (wide.abs() @ self.weights.to(wide.dtype))
        dual = scale * product - 0.5 * scale.square() * energy
        gaps = (primal - dual) / (0.5 * live.signals.square().sum(dim=1))
        return Certificate(gaps.clamp(min=0.0).double(), primal.double(), correlations)


class Certificate(NamedTuple):
    """Relative gaps and objectives (n,), correlations of the residuals (n, n_atoms).

    Computed in the type of `Problem.atoms`.
    """

    gaps: Tensor
    objectives: Tensor
    correlations: Tensor


class Live(NamedTuple):
    """The signals of a block that are not finished yet, scaled to norms near 1.

    Attributes:
        rows: their positions in the block.
        signals: (n, d_model), in the type of `Problem.atoms`.
        penalties: (n, 1), float64.
        codes: (n, n_atoms) after thresholding.
        dual: (n, n_atoms), feasible; at the optimum the correlations of the residual.
        rho: (n, 1), weight of the difference between the codes of both steps.
    """

    rows: Tensor
    signals: Tensor
    penalties: Tensor
    codes: Tensor
    dual: Tensor
    rho: Tensor

    def take(self, mask: Tensor) -> "Live":
        """The signals where `mask` holds."""
        return self if bool(mask.all()) else Live(*(field[mask] for field in self))


def advanced(
    problem: Problem, live: Live, correlations: Tensor, *, tune: bool, tf32: bool = False
) -> Live:
    """A round of ADMM steps from codes whose correlations are known in float64.

    Works on `rho * codes`. The quadratic step sees only their difference from the start of the
    round, so its rounding errors, even those of TF32, vanish along with that difference.
    """
    with float32_products(live.codes.device.type, tf32=tf32):
        return _advanced(problem, live, correlations, tune)


def _advanced(problem: Problem, live: Live, correlations: Tensor, tune: bool) -> Live:
    lower, upper = problem.bounds(live)
    inverse = 1.0 / (problem.eigenvalues + live.rho)
    start = live.rho * live.codes
    centred = correlations.to(start.dtype) - start
    codes, dual = start, live.dual
    for _ in range(STEPS):
        work = (centred - dual).add_(codes)
        work.addmm_((work @ problem.basis).mul_(inverse), problem.basis.T, alpha=-1.0)
        work.add_(start).mul_(_OVER_RELAXATION).add_(codes, alpha=1.0 - _OVER_RELAXATION).add_(dual)
        dual = work.clamp(lower, upper)
        codes = work.sub_(dual)
    rho = live.rho
    if tune:
        # Balance the relative changes of both (Wohlberg 2017): too large a rho slows the codes.
        primal = (dual - live.dual).norm(dim=1, keepdim=True) / codes.norm(dim=1, keepdim=True)
        other = (codes - start).norm(dim=1, keepdim=True) / dual.norm(dim=1, keepdim=True)
        factor = (primal / other).sqrt().nan_to_num(1.0, 1.0, 1.0).clamp(0.2, 5.0)
        rho = rho * torch.where((factor > 1.5) | (factor < 1 / 1.5), factor, 1.0)
    return live._replace(codes=codes / live.rho, dual=dual, rho=rho)


def minima_on_supports(problem: Problem, live: Live, correlations: Tensor) -> Tensor:
    """Minimise over each support with its signs fixed, by Cholesky; zero what changes its sign.

    NaN where the atoms of a support are linearly dependent.
    """
    signs = live.codes.sign()
    rows, atoms = signs.nonzero(as_tuple=True)
    sizes = signs.count_nonzero(dim=1)
    places = torch.arange(len(rows), device=rows.device) - (sizes.cumsum(0) - sizes)[rows]
    shape = (len(signs), int(sizes.max()))
    chosen = problem.atoms.new_zeros((*shape, problem.atoms.shape[1]))
    chosen[rows, places] = problem.atoms[atoms]
    gram = chosen @ chosen.mT
    padded = torch.ones(shape, dtype=gram.dtype, device=gram.device)
    padded[rows, places] = 0.0
    gram.diagonal(dim1=1, dim2=2).add_(padded)
    slopes = correlations - live.penalties * problem.weights * signs
    right = gram.new_zeros((*shape, 1))
    right[rows, places, 0] = slopes[rows, atoms].to(gram.dtype)
    factor, failed = torch.linalg.cholesky_ex(gram)
    steps = torch.cholesky_solve(right, factor)[:, :, 0]
    steps[failed > 0] = torch.nan
    codes = live.codes.double()
    codes[rows, atoms] += steps[rows, places].double()
    codes *= codes * signs >= 0
    return codes.to(live.codes.dtype)
