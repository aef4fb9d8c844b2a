"""The solutions that are compared: autoencoder, exact codes on its decoder, and full pursuit.

All have as many atoms per token, in the mean over each side of the split, as the encoder uses.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array, vstack

from trials.api import Context
from trials.inputs.rows import TokenRows
from trials.kernels.dictionaries import Autoencoder, encode, learn_dictionary
from trials.kernels.sparse_coding import omp_codes_with_mean, penalty_for_l0, weighted_mean
from trials.pursuit.code import Coded, code_rows, with_errors
from trials.sae.kind import SaeConfig

_MOST_ROUNDS = 6
_PENALTY_CHANGE = 0.01
_COUNTING_GAP = 1e-5
"""A smaller duality gap hardly changes the number of active atoms."""


class Solution(NamedTuple):
    """One way to write the tokens as sparse codes.

    Attributes:
        data: the coded rows, with the bias of the decoder or their mean subtracted.
        coded: the codes and their errors.
        l1_penalty: absolute, of the training tokens; NaN for codes that solve no LASSO.
    """

    data: TokenRows
    coded: Coded
    l1_penalty: float


def shifted_to(data: TokenRows, origin: np.ndarray) -> TokenRows:
    """The rows with `origin` subtracted. Errors and variance about the mean do not change."""
    return data._replace(rows=data.rows - origin.astype(data.rows.dtype), mean=data.mean - origin)


def encoded(data: TokenRows, autoencoder: Autoencoder, context: Context) -> Solution:
    """The codes of the encoder. They solve no problem, so their gap is NaN."""
    started = time.perf_counter()
    codes = encode(autoencoder, data.rows)
    gap = np.full(len(data.rows), np.nan)
    shifted = shifted_to(data, autoencoder.decoder_bias)
    coded = with_errors(
        shifted, autoencoder.atoms, codes, gap, started, context.n_threads, context.device
    )
    return Solution(shifted, coded, float("nan"))


def sparsities(sae: Solution) -> dict[str, float]:
    """Weighted mean number of atoms per token, by side."""
    l0, weights = sae.coded.sizes.l0, sae.data.weights
    sides = sae.data.split._asdict()
    return {side: weighted_mean(l0[tokens], weights[tokens]) for side, tokens in sides.items()}


def exact(sae: Solution, config: SaeConfig, context: Context) -> Solution:
    """Certified codes on the decoder of `sae`."""
    return _solve(sae.data, sae.coded.atoms, sparsities(sae), None, config, context)


def greedy(sae: Solution, context: Context) -> Solution:
    """Matching pursuit codes on the decoder of `sae`, with as many atoms per token on each side."""
    started = time.perf_counter()
    data, atoms = sae.data, sae.coded.atoms
    parts, order = [], []
    for side, mean in sparsities(sae).items():
        tokens = getattr(data.split, side)
        found = omp_codes_with_mean(
            data.rows[tokens],
            atoms,
            mean_nonzero=min(mean, float(min(atoms.shape))),
            weights=data.weights[tokens],
            n_threads=context.n_threads,
            device=context.device,
        )
        parts.append(found.codes)
        order.append(tokens)
    codes = csr_array(vstack(parts, format="csr"))[np.argsort(np.concatenate(order))]
    gap = np.full(len(data.rows), np.nan)
    coded = with_errors(data, atoms, codes, gap, started, context.n_threads, context.device)
    return Solution(data, coded, float("nan"))


def pursued(
    data: TokenRows,
    wanted: Mapping[str, float],
    l1_penalty: float,
    config: SaeConfig,
    context: Context,
) -> Solution:
    """Certified codes over a dictionary learned for them, with `wanted` atoms per token by side.

    The number of atoms depends on the dictionary, and the dictionary on the penalty. So learn,
    find the penalty for the learned dictionary, and continue from there until both agree.
    `l1_penalty` is the starting value.
    """
    data = shifted_to(data, data.mean)
    train = data.split.train
    rng = np.random.default_rng([config.seed, 2])
    atoms: np.ndarray | None = None
    for _ in range(_MOST_ROUNDS):
        learned = learn_dictionary(
            data.rows[train],
            config.resolved_atoms(data.rows.shape[1]),
            l1_penalty=l1_penalty,
            weights=data.weights[train],
            nonnegative=config.nonnegative,
            max_passes=config.max_passes,
            warm_start=atoms,
            rng=rng,
            n_threads=context.n_threads,
            device=context.device,
        )
        atoms, learned_at = learned.atoms, l1_penalty
        l1_penalty = _penalty(data, train, atoms, wanted["train"], learned_at, config, context)
        if abs(l1_penalty - learned_at) <= _PENALTY_CHANGE * learned_at:
            break
    return _solve(data, learned.atoms, wanted, l1_penalty, config, context)


def _solve(
    data: TokenRows,
    atoms: np.ndarray,
    wanted: Mapping[str, float],
    start: float | None,
    config: SaeConfig,
    context: Context,
) -> Solution:
    """Codes with `wanted` atoms per token on each side, with one penalty per side.

    At equal penalty, unseen tokens take more atoms than training tokens, by an amount that depends
    on the dictionary, so errors would not be comparable.
    """
    penalties = np.empty(len(data.rows))
    for side, tokens in data.split._asdict().items():
        start = _penalty(data, tokens, atoms, wanted[side], start, config, context)
        penalties[tokens] = start
    coded = code_rows(
        data,
        atoms,
        penalties,
        nonnegative=config.nonnegative,
        tolerance=config.tolerance,
        n_threads=context.n_threads,
        device=context.device,
    )
    return Solution(data, coded, float(penalties[data.split.train[0]]))


def _penalty(
    data: TokenRows,
    tokens: np.ndarray,
    atoms: np.ndarray,
    l0: float,
    start: float | None,
    config: SaeConfig,
    context: Context,
) -> float:
    return penalty_for_l0(
        data.rows[tokens],
        atoms,
        l0,
        weights=data.weights[tokens],
        nonnegative=config.nonnegative,
        start=start,
        tolerance=max(config.tolerance, _COUNTING_GAP),
        n_threads=context.n_threads,
    ).l1_penalty
