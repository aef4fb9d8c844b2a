"""From rows to a dictionary: calibrate the absolute penalty, then learn the atoms."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from trials.api import TrialError
from trials.inputs.controls.null_rows import gaussian_spectrum
from trials.inputs.preprocessing import weighted_mean_row
from trials.inputs.rows import TokenRows
from trials.kernels.dictionaries import (
    GreedyDictionary,
    LearnedDictionary,
    learn_dictionary,
    learn_greedy_dictionary,
)
from trials.kernels.sparse_coding import critical_penalties, lasso_codes, weighted_mean
from trials.pursuit.kind import PursuitConfig

_WARM_UP_TOKENS = 4096
_WARM_UP_TOKENS_PER_ATOM = 4
_MEDIAN_TOKENS = 8192
"""Maximum number of tokens for a median critical penalty, and for a mean number of atoms."""
_COUNTING_GAP = 1e-4


class Learned(NamedTuple):
    """A dictionary.

    Attributes:
        atoms: float32, (n_atoms, d_model), unit rows.
        l1_penalty: absolute.
        l1_penalty_reached: `l1_penalty` over the median critical penalty under `atoms`.
        n_passes, converged: of the learning without the warm-up.
        learning_s: wall time.
        n_warm_up_passes: of the warm-up; a pass over a sample counts as its share of the tokens.
    """

    atoms: np.ndarray
    l1_penalty: float
    l1_penalty_reached: float
    n_passes: int
    converged: bool
    learning_s: float
    n_warm_up_passes: float = 0.0


def learn(
    data: TokenRows,
    config: PursuitConfig,
    n_threads: int,
    *,
    start: np.ndarray | None = None,
    device: str = "cpu",
) -> Learned:
    """Calibrate the penalty and learn on the training tokens, from the atoms `start` if given.

    Under the null `random_dictionary` nothing is learned: the atoms are directions drawn from a
    Gaussian with the covariance of the training rows.
    """
    train, weights = data.rows[data.split.train], data.weights[data.split.train]
    n_atoms = config.resolved_atoms(train.shape[1])
    rng = np.random.default_rng([config.seed, 1])
    started, n_warm_up = time.perf_counter(), 0.0
    if config.null == "random_dictionary":
        atoms, n_passes, converged = random_atoms(train, weights, n_atoms, rng), 0, True
        critical = median_critical(train, atoms, config.nonnegative, n_threads, device)
        l1_penalty = config.l1_penalty * critical
    else:
        l1_penalty, start, n_warm_up = _calibrate(
            train, weights, n_atoms, config, rng, n_threads, start, device
        )
        learned = _learned(train, weights, l1_penalty, start, config, rng, n_threads, device)
        atoms, n_passes, converged = learned.atoms, learned.n_passes, learned.converged
        if config.learner == "omp":
            l1_penalty = config.l1_penalty * median_critical(train, atoms, False, n_threads, device)
    reached = l1_penalty / median_critical(train, atoms, config.nonnegative, n_threads, device)
    learning_s = time.perf_counter() - started
    return Learned(atoms, l1_penalty, reached, n_passes, converged, learning_s, n_warm_up)


def _learned(
    train: np.ndarray,
    weights: np.ndarray,
    l1_penalty: float,
    start: np.ndarray,
    config: PursuitConfig,
    rng: np.random.Generator,
    n_threads: int,
    device: str,
) -> LearnedDictionary | GreedyDictionary:
    """A dictionary from the atoms `start`, for LASSO codes at the penalty or for greedy codes.

    Greedy codes have as many atoms per token as LASSO codes over `start`. On planted rows, atoms
    that were first learned for the LASSO lead the greedy learner to a lower error than random ones
    do (256 atoms, 8 per token: 0.09 rather than 0.27).
    """
    if config.learner == "lasso":
        return learn_dictionary(
            train,
            len(start),
            l1_penalty=l1_penalty,
            weights=weights,
            nonnegative=config.nonnegative,
            max_passes=config.max_passes,
            warm_start=start,
            rng=rng,
            n_threads=n_threads,
            device=device,
        )
    some = slice(None, None, -(-len(train) // _MEDIAN_TOKENS))
    codes = lasso_codes(
        train[some],
        start,
        l1_penalty=l1_penalty,
        tolerance=_COUNTING_GAP,
        n_threads=n_threads,
        device=device,
    ).codes
    mean = weighted_mean(np.diff(codes.indptr).astype(np.float64), weights[some])
    return learn_greedy_dictionary(
        train,
        len(start),
        mean_nonzero=min(max(mean, 1.0), float(min(start.shape))),
        weights=weights,
        max_passes=config.max_passes,
        warm_start=start,
        rng=rng,
        n_threads=n_threads,
        device=device,
    )


def random_atoms(
    train: np.ndarray, weights: np.ndarray, n_atoms: int, rng: np.random.Generator
) -> np.ndarray:
    """Unit directions from the Gaussian with the weighted covariance of the training rows."""
    drawn = gaussian_spectrum(train, weights, rng, n_rows=n_atoms)
    atoms = drawn - weighted_mean_row(train, weights).astype(np.float32)
    return atoms / np.linalg.norm(atoms, axis=1, keepdims=True)


def _calibrate(
    train: np.ndarray,
    weights: np.ndarray,
    n_atoms: int,
    config: PursuitConfig,
    rng: np.random.Generator,
    n_threads: int,
    atoms: np.ndarray | None,
    device: str,
) -> tuple[float, np.ndarray, float]:
    """The absolute penalty, the dictionary that it was calibrated on, and the number of passes.

    The critical penalty of a token depends on the dictionary, and the dictionary on the penalty.
    So learn for a few passes on a sample, measure the median, and repeat. When the atoms of a
    similar penalty are given, one round on all tokens is enough.

    With one atom per training token there is nothing to search. Unit atoms give
    `|a D| <= |a|_1`, so the best code of a token is its own copy: learning starts from copies.
    """
    if atoms is None and n_atoms >= len(train):
        copies = _copies(train, n_atoms, rng)
        critical = median_critical(train, copies, config.nonnegative, n_threads, device)
        return config.l1_penalty * critical, copies, 0.0
    n_sample = min(len(train), max(_WARM_UP_TOKENS, _WARM_UP_TOKENS_PER_ATOM * n_atoms))
    some = rng.choice(len(train), n_sample, replace=False)
    # The first single pass only draws the starting atoms, so its penalty does not matter. A
    # dictionary fits a small sample better than all tokens, so the last round uses all of them.
    stages: list[tuple[np.ndarray | slice, int]] = [(slice(None), 3)]
    if atoms is None:
        stages = [(some, 1), (some, 3), (some, 3), *stages]
        l1_penalty = float(np.linalg.norm(train[some], axis=1).max())
    else:
        critical = median_critical(train, atoms, config.nonnegative, n_threads, device)
        l1_penalty = config.l1_penalty * critical
    passes = 0.0
    for tokens, n_passes in stages:
        rows = train[tokens]
        learned = learn_dictionary(
            rows,
            n_atoms,
            l1_penalty=l1_penalty,
            weights=weights[tokens],
            nonnegative=config.nonnegative,
            max_passes=n_passes,
            warm_start=atoms,
            rng=rng,
            n_threads=n_threads,
            device=device,
        )
        atoms = learned.atoms
        passes += learned.n_passes * len(rows) / len(train)
        l1_penalty = config.l1_penalty * median_critical(
            rows, atoms, config.nonnegative, n_threads, device
        )
    return l1_penalty, learned.atoms, passes


def median_critical(
    rows: np.ndarray, atoms: np.ndarray, nonnegative: bool, n_threads: int, device: str = "cpu"
) -> float:
    """Median over evenly chosen rows of the smallest penalty at which the code of a row is zero.

    Raises TrialError if it is 0, because a fraction of 0 is no penalty.
    """
    rows = rows[:: -(-len(rows) // _MEDIAN_TOKENS)]
    critical = critical_penalties(
        rows, atoms, nonnegative=nonnegative, n_threads=n_threads, device=device
    )
    median = float(np.median(critical))
    if median <= 0:
        raise TrialError(
            "the median critical penalty is 0: half of the rows use no atom at any penalty"
        )
    return median


def _copies(rows: np.ndarray, n_atoms: int, rng: np.random.Generator) -> np.ndarray:
    """Every nonzero row as a unit atom; the remaining atoms are Gaussian directions."""
    atoms = rng.standard_normal((n_atoms, rows.shape[1]), dtype=np.float32)
    nonzero = np.flatnonzero(rows.any(axis=1))
    atoms[nonzero] = rows[nonzero]
    return atoms / np.linalg.norm(atoms, axis=1, keepdims=True)
