"""Sparse codes of a block of signals at once, by ADMM: for dense codes, and for GPUs.

`min_a 1/2 ||x - a D||^2 + penalty ||a||_1` is split into two alternating steps (Boyd, Parikh, Chu,
Peleato and Eckstein 2011, section 6.4): a quadratic one, solved for all signals by two matrix
products in the eigenbasis of the Gram matrix, and soft thresholding. A few dozen steps suffice for
any number of entries per code. A gradient method (FISTA) needs more steps the larger the largest
eigenvalue is, and the cost of an active-set method grows with the cube of the support. For signals
that converge slowly, the exact minimum over their support is tried.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from trials.kernels.sparse_coding.block_solver import Solution
from trials.kernels.sparse_coding.device.admm_steps import (
    STEPS,
    Certificate,
    Live,
    Problem,
    advanced,
    minima_on_supports,
)
from trials.kernels.sparse_coding.device.device_codes import DeviceCodes
from trials.kernels.sparse_coding.device.memory import for_each_part, free_bytes, rows_per_block
from trials.lazy import lazy_module

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:  # torch takes a second to import; annotations are also read at run time
    torch = lazy_module("torch")
    Tensor = Any

_FIRST_RHO = 30.0  # penalties over ||x||: thresholds of 1/30 ||x||, the size of a typical entry
# After these rho is fixed, since only then is ADMM certain to converge, and products are exact.
_TUNED_ROUNDS = 30
_FIRST_POLISH = 10  # polish in this round, and each time the round number has doubled
_MAX_ROUNDS = 640
_MAX_STALLED = 100
_CPU_ENTRIES = 1 << 20
_BYTES_PER_ENTRY = 100  # of a block: the iterates, the certificate in float64, their temporaries
_POLISH_BYTES = {"cpu": 1 << 26, "cuda": 1 << 30}


def admm_codes(
    signals: Float[np.ndarray, "n_signals d_model"],
    atoms: Float[np.ndarray, "n_atoms d_model"],
    penalties: Float[np.ndarray, " n_signals"],
    *,
    nonnegative: bool = False,
    tolerance: float = 1e-5,
    warm_start: csr_array | None = None,
    device: str = "cpu",
    n_threads: int = 1,
) -> Solution:
    """Codes of all signals, each with its certificate; `n_rounds` counts ADMM steps.

    Arguments are not checked, as in `BlockSolver`: they must be finite, signals and atoms of one
    type, no atom zero, penalties positive, `warm_start` canonical. Iterates have the type of the
    signals; gaps and objectives of the returned codes are computed in float64. A signal that does
    not reach the tolerance gets the best code found. On the CPU the result does not depend on
    `n_threads`, bit for bit; a GPU does not use it. Dense codes exist only for one block of signals
    at a time.
    """
    with _one_torch_thread():
        problem = Problem.prepare(atoms, device, nonnegative)
        start = None if warm_start is None else DeviceCodes.from_host(warm_start, device)
        found = solve(problem, signals, penalties, start, tolerance, device, n_threads)
    codes = found.codes.to_host(len(atoms))
    return Solution(codes, found.gaps, found.n_steps, found.objectives)


class DeviceSolution(NamedTuple):
    """Codes that stay on the device; `gaps`, `n_steps` and `objectives` as in `Solution`."""

    codes: DeviceCodes
    gaps: np.ndarray
    n_steps: np.ndarray
    objectives: np.ndarray


def solve(
    problem: Problem,
    signals: "np.ndarray | Tensor",
    penalties: np.ndarray,
    start: DeviceCodes | None,
    tolerance: float,
    device: str,
    n_threads: int = 1,
) -> DeviceSolution:
    """As `admm_codes`, for a prepared problem and signals that may already be on the device."""
    n_signals, n_atoms = len(signals), len(problem.atoms)
    gaps, objectives = np.zeros(n_signals), np.zeros(n_signals)
    n_steps = np.zeros(n_signals, np.int64)
    codes: dict[int, DeviceCodes] = {}

    def work(part: slice) -> None:
        first = None if start is None else start.part(part).dense(n_atoms)
        block = _Block(problem, signals[part], penalties[part], first)
        block.solve(tolerance)
        codes[part.start] = DeviceCodes.from_dense(block.codes)
        gaps[part] = block.gaps.cpu()
        objectives[part] = block.objectives.cpu()
        n_steps[part] = block.n_steps.cpu()

    for_each_part(n_signals, _block_size(n_atoms, device), work, device, n_threads)
    parts = [codes[number] for number in sorted(codes)]
    return DeviceSolution(DeviceCodes.stacked(parts), gaps, n_steps, objectives)


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


def _block_size(n_atoms: int, device: str) -> int:
    """Signals per block; on the CPU it depends on the dictionary only."""
    if torch.device(device).type == "cpu":
        return min(max(_CPU_ENTRIES // n_atoms, 64), 512)
    return rows_per_block(_BYTES_PER_ENTRY * n_atoms, device)


class _Block:
    """A block of signals and the best codes so far."""

    def __init__(
        self,
        problem: Problem,
        signals: "np.ndarray | Tensor",
        penalties: np.ndarray,
        start: Tensor | None,
    ) -> None:
        self.problem = problem
        device, kind = problem.basis.device, problem.basis.dtype
        wide = torch.as_tensor(signals, device=device).double()
        norms = wide.norm(dim=1, keepdim=True)
        # Powers of two, here and for the atoms, so that codes scale back exactly.
        self.scales = torch.where(norms > 0, torch.exp2(torch.round(torch.log2(norms))), 1.0)
        scaled = torch.tensor(penalties, device=device)[:, None] / self.scales
        n = len(signals)
        self.codes = torch.zeros((n, len(problem.atoms)), dtype=kind, device=device)
        self.gaps = torch.where(norms[:, 0] > 0, torch.inf, 0.0).double()
        self.objectives = torch.zeros_like(self.gaps)
        self.n_steps = torch.zeros(n, dtype=torch.int64, device=device)
        first = torch.zeros_like(self.codes)
        if start is not None:
            first = (start.double() / (self.scales * problem.weights)).to(kind)
        self.live = Live(
            torch.arange(n, device=device),
            (wide / self.scales).to(problem.atoms.dtype),
            scaled,
            first,
            torch.zeros_like(first),
            (_FIRST_RHO * scaled * self.scales / norms).to(kind),
        ).take(norms[:, 0] > 0)

    def solve(self, tolerance: float) -> None:
        """Run rounds of ADMM until every signal is certified or has stopped improving."""
        problem, live = self.problem, self.live
        n_stalled = torch.zeros_like(self.n_steps)
        next_polish = _FIRST_POLISH
        for number in range(_MAX_ROUNDS + 1):
            before = self.gaps[live.rows]
            certificate = problem.certificate(live, live.codes)
            self._offer(live, live.codes, certificate)
            if number == next_polish:
                going = self.gaps[live.rows] > tolerance
                self._polish(live.take(going), certificate.correlations[going])
                next_polish *= 2
            after = self.gaps[live.rows]
            n_stalled[live.rows] = torch.where(after < 0.9 * before, 0, n_stalled[live.rows] + 1)
            going = (after > tolerance) & (n_stalled[live.rows] < _MAX_STALLED)
            if number == _MAX_ROUNDS or not going.any():
                break
            live, correlations = live.take(going), certificate.correlations[going]
            if number == 0:
                dual = correlations.to(live.codes.dtype).clamp(*problem.bounds(live))
                live = live._replace(dual=dual)
            early = number < _TUNED_ROUNDS
            live = advanced(problem, live, correlations, tune=early, tf32=early)
            self.n_steps[live.rows] += STEPS
        self.codes *= (problem.weights * self.scales).to(self.codes.dtype)
        self.objectives *= self.scales[:, 0].square()

    def _offer(self, live: Live, codes: Tensor, certificate: Certificate) -> None:
        better = certificate.gaps < self.gaps[live.rows]  # False where a gap is NaN
        rows = live.rows[better]
        self.codes[rows] = codes[better]
        self.gaps[rows] = certificate.gaps[better]
        self.objectives[rows] = certificate.objectives[better]

    def _polish(self, live: Live, correlations: Tensor) -> None:
        """Offer the minima over the current supports and signs, a few signals at a time."""
        if not len(live.rows):
            return
        sizes, order = live.codes.count_nonzero(dim=1).sort()
        d_model = live.signals.shape[1]
        device = live.codes.device
        budget = min(_POLISH_BYTES[device.type], free_bytes(str(device)) // 4)
        first = 0
        for last, size in enumerate(sizes.tolist(), start=1):
            cost = 8 * size * (2 * size + d_model) * (last - first)
            if last == len(order) or cost > budget:
                chunk = order[first:last]
                few = Live(*(field[chunk] for field in live))
                codes = minima_on_supports(self.problem, few, correlations[chunk])
                self._offer(few, codes, self.problem.certificate(few, codes))
                first = last
