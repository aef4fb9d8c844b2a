"""From a matrix to a dictionary and certified codes: the calls of the kind `pursuit`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from trials.api import TrialError
from trials.inputs.frequencies import FrequencyTable
from trials.inputs.nulls import null_rows
from trials.inputs.preprocessing import preprocess, weighted_mean_row
from trials.inputs.splits import Split, split_tokens, stratified_sample
from trials.kernels.dictionary import learn_dictionary
from trials.kernels.reconstruction import (
    CodeSizes,
    TokenErrors,
    code_sizes,
    reconstruct,
    token_errors,
    without_negligible,
)
from trials.kernels.sparse_coding import critical_penalties, debiased_codes, lasso_codes

if TYPE_CHECKING:
    from trials.inputs.sources import EmbeddingMatrix
    from trials.pursuit.config import PursuitConfig

_WARM_UP_TOKENS = 4096
_WARM_UP_TOKENS_AN_ATOM = 4
_MEDIAN_TOKENS = 8192
"""Most tokens that a median critical penalty is taken over."""


class Data(NamedTuple):
    """The tokens of one trial; every array but `mean` and `offset` has one entry a token.

    Attributes:
        ids: rows of the embedding matrix.
        names: decoded text.
        probabilities: relative frequency among these tokens, sums to 1.
        weights: probabilities ** frequency_exponent, mean 1.
        split: positions of the training, validation and held-out tokens.
        rows: float32, (n_tokens, d_model), real or null, centred and scaled.
        mean: float64, (d_model,), weighted mean of the training rows as they are in `rows`.
        offset, divisor: `rows` are (raw rows - offset) / divisor.
    """

    ids: np.ndarray
    names: tuple[str, ...]
    probabilities: np.ndarray
    weights: np.ndarray
    split: Split
    rows: np.ndarray
    mean: np.ndarray
    offset: np.ndarray
    divisor: np.ndarray


class Fitted(NamedTuple):
    """A dictionary and what it makes of every token.

    Attributes:
        atoms: float32, (n_atoms, d_model), unit rows.
        codes: l1-penalised, (n_tokens, n_atoms).
        debiased: least squares on the same supports.
        gap: relative duality gap of each token's code.
        errors, debiased_errors: what the two codes leave.
        sizes: l0, l1 and participation ratio of `codes`.
        l1_penalty: absolute.
        l1_penalty_reached: `l1_penalty` over the median critical penalty under `atoms`.
        n_passes, converged: of the learning, warm-up left out.
        solver_s, learning_s: wall time.
    """

    atoms: np.ndarray
    codes: csr_array
    debiased: csr_array
    gap: np.ndarray
    errors: TokenErrors
    debiased_errors: TokenErrors
    sizes: CodeSizes
    l1_penalty: float
    l1_penalty_reached: float
    n_passes: int
    converged: bool
    solver_s: float
    learning_s: float


def prepare(config: PursuitConfig, matrix: EmbeddingMatrix, table: FrequencyTable) -> Data:
    """Choose tokens, weigh, split, replace by the null, centre and scale.

    Raises TrialError when the matrix has too few rows for the config.
    """
    sampling = np.random.default_rng([config.split_seed, 0])
    ids = np.flatnonzero(~matrix.special)
    if config.n_rows != "all":
        if config.n_rows > len(ids):
            raise TrialError(
                f'n_rows is {config.n_rows}, the matrix has {len(ids)} tokens; "all" uses them all'
            )
        ids = ids[stratified_sample(table.probabilities[ids], config.n_rows, sampling)]
    names = tuple(matrix.tokens[i] for i in ids)
    probabilities = table.probabilities[ids] / table.probabilities[ids].sum()
    weights = probabilities**config.frequency_exponent
    weights /= weights.mean()
    split = split_tokens(
        names,
        probabilities,
        held_out_frac=config.held_out_frac,
        validation_frac=config.validation_frac,
        rng=sampling,
    )
    if not all(map(len, split)):
        raise TrialError(f"{len(ids)} tokens are too few to split: a side got none")
    drawing = np.random.default_rng([config.seed, 0])
    raw = null_rows(config.null, matrix.rows[ids], weights, split, drawing)
    seen = preprocess(raw, split.train, weights, centre=config.centre, scale=config.scale)
    mean = weighted_mean_row(seen.rows[split.train], weights[split.train])
    return Data(
        ids, names, probabilities, weights, split, seen.rows, mean, seen.offset, seen.divisor
    )


def fit(data: Data, config: PursuitConfig, n_threads: int) -> Fitted:
    """Calibrate the penalty, learn on the training tokens, code all tokens."""
    train, weights = data.rows[data.split.train], data.weights[data.split.train]
    n_atoms = config.resolved_atoms(train.shape[1])
    rng = np.random.default_rng([config.seed, 1])
    started = time.perf_counter()
    l1_penalty, start = _calibrate(train, weights, n_atoms, config, rng, n_threads)
    learned = learn_dictionary(
        train,
        n_atoms,
        l1_penalty=l1_penalty,
        weights=weights,
        nonnegative=config.nonnegative,
        max_passes=config.max_passes,
        warm_start=start,
        rng=rng,
        n_threads=n_threads,
    )
    learning_s = time.perf_counter() - started
    solved = lasso_codes(
        data.rows,
        learned.atoms,
        l1_penalty=l1_penalty,
        nonnegative=config.nonnegative,
        tolerance=config.tolerance,
        n_threads=n_threads,
    )
    codes = without_negligible(solved.codes, np.linalg.norm(data.rows, axis=1))
    debiased = debiased_codes(data.rows, learned.atoms, codes, n_threads=n_threads)
    solver_s = time.perf_counter() - started - learning_s
    return Fitted(
        atoms=learned.atoms,
        codes=codes,
        debiased=debiased,
        gap=solved.gap,
        errors=_errors(data, codes, learned.atoms),
        debiased_errors=_errors(data, debiased, learned.atoms),
        sizes=code_sizes(codes),
        l1_penalty=l1_penalty,
        l1_penalty_reached=l1_penalty / _median_critical(train, learned.atoms, config, n_threads),
        n_passes=learned.n_passes,
        converged=learned.converged,
        solver_s=solver_s,
        learning_s=learning_s,
    )


def _calibrate(
    train: np.ndarray,
    weights: np.ndarray,
    n_atoms: int,
    config: PursuitConfig,
    rng: np.random.Generator,
    n_threads: int,
) -> tuple[float, np.ndarray]:
    """The absolute penalty, and the dictionary under which it was fixed.

    The critical penalty of a token depends on the dictionary, and the dictionary on the penalty:
    learn a little on a sample, measure, repeat.

    With an atom for every training token nothing needs to be searched. Unit atoms give
    `|a D| <= |a|_1`, so a token is coded best by one atom, its copy: the learning starts there.
    """
    if n_atoms >= len(train):
        copies = _copies(train, n_atoms, rng)
        return config.l1_penalty * _median_critical(train, copies, config, n_threads), copies
    n_sample = min(len(train), max(_WARM_UP_TOKENS, _WARM_UP_TOKENS_AN_ATOM * n_atoms))
    some = rng.choice(len(train), n_sample, replace=False)
    # One pass only draws the starting atoms, so its penalty does not matter. A dictionary fits a
    # small sample better than it will fit all tokens, so the last word is with all of them.
    l1_penalty = float(np.linalg.norm(train[some], axis=1).max())
    atoms: np.ndarray | None = None
    for tokens, n_passes in ((some, 1), (some, 3), (some, 3), (slice(None), 3)):
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
        )
        atoms = learned.atoms
        l1_penalty = config.l1_penalty * _median_critical(rows, atoms, config, n_threads)
    return l1_penalty, learned.atoms


def _median_critical(
    rows: np.ndarray, atoms: np.ndarray, config: PursuitConfig, n_threads: int
) -> float:
    """Median over rows, evenly chosen, of the penalty at which a row's code vanishes.

    Raises TrialError when it is 0, for a share of 0 would be no penalty.
    """
    rows = rows[:: -(-len(rows) // _MEDIAN_TOKENS)]
    critical = critical_penalties(rows, atoms, nonnegative=config.nonnegative, n_threads=n_threads)
    median = float(np.median(critical))
    if median <= 0:
        raise TrialError(
            "the median critical penalty is 0: half of the rows have no use of any atom"
        )
    return median


def _copies(rows: np.ndarray, n_atoms: int, rng: np.random.Generator) -> np.ndarray:
    """Every row as a unit atom, and Gaussian directions for what is left."""
    atoms = rng.standard_normal((n_atoms, rows.shape[1]), dtype=np.float32)
    nonzero = np.flatnonzero(rows.any(axis=1))
    atoms[nonzero] = rows[nonzero]
    return atoms / np.linalg.norm(atoms, axis=1, keepdims=True)


def _errors(data: Data, codes: csr_array, atoms: np.ndarray) -> TokenErrors:
    return token_errors(data.rows, reconstruct(codes, atoms), data.mean)
