"""Time to code tokens over a fixed dictionary vs. SPAMS and scikit-learn.

All sides get the same signals, atoms and penalty, compute their own Gram matrix within the time,
and are held against the same duality gap in float64. SPAMS follows the LASSO path (LARS) and
scikit-learn's `sparse_encode` has a fixed tolerance: neither can be told to stop at a wider gap.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array
from sklearn.decomposition import sparse_encode
from sklearn.linear_model import Lasso
from threadpoolctl import threadpool_limits

from benchmarks.command import load_spams, options
from benchmarks.measure import (
    Column,
    Table,
    differing_objectives,
    interleaved,
    reached,
    wide_gaps,
)
from benchmarks.problem import Rows, fixed_dictionary, open_rows, penalty_for_l0
from trials.kernels.sparse_coding import lasso_codes

spams = load_spams()

GAP = 1e-5
_WARM_UP_TOKENS = 64
COLUMNS = (
    Column("work", 32),
    Column("peer", 21),
    Column("peer us/token", 13),
    Column("ours us/token", 13),
    Column("ratio", 6),
    Column("peer gap", 8),
    Column("our gap", 8),
    Column("peer objective", 14),
    Column("our objective", 13),
    Column("peer L0", 7),
    Column("our L0", 7),
)


class Problem(NamedTuple):
    """One problem for both sides: the same numbers, as float64 for a peer."""

    signals: np.ndarray
    atoms: np.ndarray
    l1_penalty: float
    n_threads: int

    def as_float64(self) -> Problem:
        """The same problem in float64."""
        return self._replace(
            signals=self.signals.astype(np.float64), atoms=self.atoms.astype(np.float64)
        )


def ours(problem: Problem) -> Callable[[], csr_array]:
    """Our side, in float32."""
    return lambda: (
        lasso_codes(
            problem.signals,
            problem.atoms,
            l1_penalty=problem.l1_penalty,
            tolerance=GAP,
            n_threads=problem.n_threads,
        ).codes
    )


def spams_lasso(problem: Problem) -> Callable[[], Any]:
    """SPAMS in float64; it takes signals and atoms as columns."""
    signals, atoms = np.asfortranarray(problem.signals.T), np.asfortranarray(problem.atoms.T)
    return lambda: (
        spams.lasso(
            signals,
            D=atoms,
            lambda1=problem.l1_penalty,
            mode=spams.PENALTY,
            numThreads=problem.n_threads,
        ).T
    )


def sklearn_sparse_encode(problem: Problem) -> Callable[[], Any]:
    """`sparse_encode(algorithm="lasso_cd")`, one job per thread."""
    return partial(
        sparse_encode,
        problem.signals,
        problem.atoms,
        algorithm="lasso_cd",
        alpha=problem.l1_penalty,
        max_iter=100_000,
        n_jobs=problem.n_threads,
    )


def sklearn_lasso(problem: Problem) -> Callable[[], Any]:
    """`Lasso` on a Gram matrix computed once, the signals split among threads, at our gap."""
    signals, atoms = problem.signals, np.asfortranarray(problem.atoms.T)
    parts = np.array_split(np.arange(len(signals)), problem.n_threads)

    def solve() -> np.ndarray:
        gram = atoms.T @ atoms

        def fit(part: np.ndarray) -> np.ndarray:
            model = Lasso(
                alpha=problem.l1_penalty / len(atoms),  # its loss is a mean over d_model
                fit_intercept=False,
                precompute=gram,
                tol=GAP / 2,  # its gap is relative to ||x||^2, ours to half of it
                max_iter=100_000,
            )
            coefficients: np.ndarray = model.fit(atoms, signals[part].T).coef_
            return coefficients

        # Our threads times BLAS threads oversubscribe the cores: two to three times slower.
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(problem.n_threads) as pool:
            return np.concatenate(list(pool.map(fit, parts)))

    return solve


PEERS = {
    "SPAMS lasso": spams_lasso,
    "sklearn sparse_encode": sklearn_sparse_encode,
    "sklearn Lasso, Gram": sklearn_lasso,
}


class Work(NamedTuple):
    """A row of the table: dictionary size over d_model, wanted L0, tokens (0: all), the peer."""

    size: int
    l0: int
    n_tokens: int
    peer: str = "SPAMS lasso"


QUICK = (Work(2, 20, 1024),)
FULL = (
    Work(1, 20, 8192),
    Work(2, 60, 8192),
    Work(2, 150, 8192),
    Work(4, 60, 8192),
    Work(8, 20, 8192),
    Work(8, 60, 8192),
    Work(2, 20, 0),
    Work(4, 20, 0),
    Work(2, 60, 8192, "sklearn sparse_encode"),
    Work(2, 60, 8192, "sklearn Lasso, Gram"),
)


def measure(work: Work, rows: Rows, n_threads: int, n_rounds: int) -> tuple[list[str], list[str]]:
    """The cells of one row, and why its sides cannot be compared (empty when they can)."""
    atoms = fixed_dictionary(rows, work.size, n_threads)
    l1_penalty = penalty_for_l0(rows, atoms, work.l0, n_threads)
    signals = rows.sample(work.n_tokens or len(rows.array))
    problem = Problem(signals, atoms, l1_penalty, n_threads)
    few = problem._replace(signals=signals[:_WARM_UP_TOKENS])
    peer = PEERS[work.peer]
    # Load compiled code and start threads and processes before timing.
    peer(few.as_float64())()
    ours(few)()
    times, peer_codes, our_codes = interleaved(peer(problem.as_float64()), ours(problem), n_rounds)
    theirs = reached(signals, atoms, csr_array(peer_codes), l1_penalty)
    own = reached(signals, atoms, our_codes, l1_penalty)
    name = f"codes, {work.size}x, L0 {work.l0}, {len(signals):,} tokens"
    cells = [
        name,
        work.peer,
        f"{1e6 * median(times.peer_s) / len(signals):.1f}",
        f"{1e6 * median(times.ours_s) / len(signals):.1f}",
        f"{times.ratio:.1f}",
        f"{theirs.gap:.1e}",
        f"{own.gap:.1e}",
        f"{theirs.objective:.8f}",
        f"{own.objective:.8f}",
        f"{theirs.l0:.1f}",
        f"{own.l0:.1f}",
    ]
    doubts = wide_gaps(theirs, own, GAP) + differing_objectives(theirs, own)
    return cells, [f"{name}, {work.peer}: {doubt}" for doubt in doubts]


def main() -> str:
    """Print the table; returns one line for each row whose sides cannot be compared."""
    given = options(str(__doc__)).parse_args()
    rows = open_rows(given.source)
    works = QUICK if given.quick else FULL
    with threadpool_limits(given.threads):
        for size in sorted({work.size for work in works}):
            fixed_dictionary(rows, size, given.threads)
        table = Table(COLUMNS)
        problems = []
        for work in works:
            cells, found = measure(work, rows, given.threads, given.rounds)
            table.row(cells)
            problems += found
    return "\n".join(problems)


if __name__ == "__main__":
    sys.exit(main() or None)
