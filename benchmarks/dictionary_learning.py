"""Time to the training objective that SPAMS and scikit-learn reach in a given time.

A peer learns for some seconds and its dictionary is scored: the mean LASSO objective of all
training rows under exact codes, its atoms scaled to unit norm (which can only help it). Ours is
the wall time of one call of `learn_dictionary` with the fewest passes whose dictionary scores no
worse. Peers start from rows drawn at random, ours from its own random mixtures of rows.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from sklearn.decomposition import MiniBatchDictionaryLearning
from threadpoolctl import threadpool_limits

from benchmarks.command import load_spams, options
from benchmarks.measure import Column, Reached, Table, reached, timed, wide_gaps
from benchmarks.problem import fixed_dictionary, open_rows, penalty_for_l0
from trials.kernels.dictionaries import LearnedDictionary, learn_dictionary
from trials.kernels.sparse_coding import lasso_codes

spams = load_spams()

GAP = 1e-5
SIZE = 2
L0 = 20
MOST_PASSES = 128
# Far below the gain of one pass while a peer is still behind, so that only `max_passes` ends a run.
SETTLED = 1e-6
COLUMNS = (
    Column("work", 26),
    Column("peer", 17),
    Column("peer s", 6),
    Column("ours s", 6),
    Column("ratio", 11),
    Column("passes", 6),
    Column("peer gap", 8),
    Column("our gap", 8),
    Column("peer objective", 14),
    Column("our objective", 13),
    Column("peer L0", 7),
    Column("our L0", 7),
)


class Task(NamedTuple):
    """The problem that both sides solve; `start` holds the rows that a peer starts from."""

    signals: np.ndarray
    start: np.ndarray
    l1_penalty: float
    n_threads: int

    def score(self, atoms: np.ndarray) -> Reached:
        """The training objective of a dictionary, from exact codes."""
        norms = np.linalg.norm(atoms, axis=1)
        unit = (atoms[norms > 0] / norms[norms > 0, None]).astype(np.float32)
        found = lasso_codes(
            self.signals,
            unit,
            l1_penalty=self.l1_penalty,
            tolerance=GAP,
            n_threads=self.n_threads,
        )
        return reached(self.signals, unit, found.codes, self.l1_penalty)


def spams_train_dl(task: Task, seconds: int) -> Callable[[], np.ndarray]:
    """SPAMS in float64, its defaults; a negative number of iterations is seconds."""
    signals = np.asfortranarray(task.signals.T, dtype=np.float64)
    start = np.asfortranarray(task.start.T, dtype=np.float64)

    def learn() -> np.ndarray:
        atoms: np.ndarray = spams.trainDL(
            signals,
            D=start,
            lambda1=task.l1_penalty,
            mode=spams.PENALTY,
            iter=-seconds,
            numThreads=task.n_threads,
            verbose=False,
        ).T
        return atoms

    return learn


class _TimeIsUpError(Exception):
    """Raised to end scikit-learn's loop; holds the dictionary."""


def sklearn_minibatch(task: Task, seconds: int) -> Callable[[], np.ndarray]:
    """`MiniBatchDictionaryLearning` with coordinate descent, one job per thread."""
    signals, start = task.signals.astype(np.float64), task.start.astype(np.float64)
    # It warns for every token that misses a gap of 1e-8 within its default number of iterations,
    # in its worker processes.
    os.environ.setdefault("PYTHONWARNINGS", "ignore")

    def learn() -> np.ndarray:
        end = time.perf_counter() + seconds

        def stop(state: dict[str, Any]) -> None:
            if time.perf_counter() >= end:
                raise _TimeIsUpError(state["dictionary"])

        model = MiniBatchDictionaryLearning(
            len(start),
            alpha=task.l1_penalty,
            fit_algorithm="cd",
            n_jobs=task.n_threads,
            max_iter=10**6,
            tol=0.0,
            max_no_improvement=None,
            dict_init=start,
            random_state=0,
            callback=stop,
        )
        try:
            model.fit(signals)
        except _TimeIsUpError as done:
            atoms: np.ndarray = done.args[0]
            return atoms
        raise AssertionError("scikit-learn stopped before its time")

    return learn


PEERS = {"SPAMS trainDL": spams_train_dl, "sklearn MiniBatch": sklearn_minibatch}


# Rows (0: all), the peer, and the seconds that it may take.
QUICK = ((3_000, "SPAMS trainDL", 1),)
FULL = (
    (10_000, "SPAMS trainDL", 45),
    (0, "SPAMS trainDL", 90),
    (10_000, "sklearn MiniBatch", 90),
    (0, "sklearn MiniBatch", 90),
)


def learn(task: Task, n_passes: int) -> LearnedDictionary:
    """Our side, from its own start."""
    return learn_dictionary(
        task.signals,
        len(task.start),
        l1_penalty=task.l1_penalty,
        tolerance=SETTLED,
        max_passes=n_passes,
        rng=np.random.default_rng(0),
        n_threads=task.n_threads,
    )


def fewest_passes(task: Task, wanted: float) -> tuple[int, Reached]:
    """Passes after which the dictionary scores at most `wanted`, and its score.

    By doubling, then bisection: the fewest, as long as more passes never score worse.
    `MOST_PASSES` when those are not enough.
    """
    too_few, enough = 0, 1
    while (score := task.score(learn(task, enough).atoms)).objective > wanted:
        if enough == MOST_PASSES:
            return enough, score
        too_few, enough = enough, 2 * enough
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        found = task.score(learn(task, middle).atoms)
        if found.objective > wanted:
            too_few = middle
        else:
            enough, score = middle, found
    return enough, score


def measure(task: Task, peer: str, seconds: int, n_rounds: int) -> tuple[list[str], list[str]]:
    """The cells of one row, and why its sides cannot be compared (empty when they can)."""
    peer_s, atoms = timed(PEERS[peer](task, seconds))
    theirs = task.score(atoms)
    n_passes, ours = fewest_passes(task, theirs.objective)
    ours_s = median(timed(partial(learn, task, n_passes))[0] for _ in range(n_rounds))
    is_reached = ours.objective <= theirs.objective
    name = f"learning, {SIZE}x, {len(task.signals):,} rows"
    cells = [
        name,
        peer,
        f"{peer_s:.1f}",
        f"{ours_s:.2f}",
        f"{peer_s / ours_s:.1f}" if is_reached else "not reached",
        str(n_passes),
        f"{theirs.gap:.1e}",
        f"{ours.gap:.1e}",
        f"{theirs.objective:.6f}",
        f"{ours.objective:.6f}",
        f"{theirs.l0:.1f}",
        f"{ours.l0:.1f}",
    ]
    return cells, [f"{name}, {peer}: {problem}" for problem in wide_gaps(theirs, ours, GAP)]


def main() -> str:
    """Print the table; returns one line for each row whose sides cannot be compared."""
    parser = options(str(__doc__))
    parser.add_argument("--seconds", type=int, help="what a peer may take a row (45 and 90)")
    given = parser.parse_args()
    rows = open_rows(given.source)
    works = QUICK if given.quick else FULL
    with threadpool_limits(given.threads):
        atoms = fixed_dictionary(rows, SIZE, given.threads)
        l1_penalty = penalty_for_l0(rows, atoms, L0, given.threads)
        table = Table(COLUMNS)
        problems = []
        for n_rows, peer, usual_seconds in works:
            seconds = given.seconds or usual_seconds
            signals = rows.sample(n_rows or len(rows.array))
            start = signals[: len(atoms)]
            start = start / np.linalg.norm(start, axis=1, keepdims=True)
            task = Task(signals, start, l1_penalty, given.threads)
            cells, found = measure(task, peer, seconds, given.rounds)
            table.row(cells)
            problems += found
    return "\n".join(problems)


if __name__ == "__main__":
    sys.exit(main() or None)
