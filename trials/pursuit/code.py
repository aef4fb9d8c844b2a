"""Certified codes of every token over a dictionary, and their errors."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from trials.api import Context
from trials.inputs.rows import TokenRows
from trials.kernels.sparse_coding import (
    CodeSizes,
    TokenErrors,
    code_sizes,
    debiased_codes,
    lasso_codes,
    omp_codes_with_mean,
    reconstruct,
    token_errors,
    weighted_mean,
    without_negligible,
)
from trials.pursuit.kind import CertifiedConfig, PursuitConfig
from trials.pursuit.learn import Learned, learn


class Coded(NamedTuple):
    """Codes of all tokens over one dictionary.

    Attributes:
        atoms: float32, (n_atoms, d_model).
        codes: from a solver or an encoder, (n_tokens, n_atoms).
        debiased: least squares on the same supports.
        gap: relative duality gap per token; NaN for codes that solve no problem.
        errors, debiased_errors: reconstruction errors of the two codes.
        sizes: l0, l1 and participation ratio of `codes`.
        solver_s: wall time.
    """

    atoms: np.ndarray
    codes: csr_array
    debiased: csr_array
    gap: np.ndarray
    errors: TokenErrors
    debiased_errors: TokenErrors
    sizes: CodeSizes
    solver_s: float


def code_rows(
    data: TokenRows,
    atoms: np.ndarray,
    l1_penalty: float | np.ndarray,
    *,
    nonnegative: bool,
    tolerance: float,
    n_threads: int,
    device: str = "cpu",
) -> Coded:
    """Certified basis pursuit codes of every token, and least squares on their supports."""
    started = time.perf_counter()
    solved = lasso_codes(
        data.rows,
        atoms,
        l1_penalty=l1_penalty,
        nonnegative=nonnegative,
        tolerance=tolerance,
        n_threads=n_threads,
        device=device,
    )
    return with_errors(data, atoms, solved.codes, solved.gap, started, n_threads, device)


def with_errors(
    data: TokenRows,
    atoms: np.ndarray,
    codes: csr_array,
    gap: np.ndarray,
    started: float,
    n_threads: int,
    device: str = "cpu",
) -> Coded:
    """Codes with their errors. `started` (of `time.perf_counter`) is when coding began."""
    codes = without_negligible(codes, np.linalg.norm(data.rows, axis=1))
    debiased = debiased_codes(data.rows, atoms, codes, n_threads=n_threads, device=device)
    solver_s = time.perf_counter() - started
    return Coded(
        atoms=atoms,
        codes=codes,
        debiased=debiased,
        gap=gap,
        errors=_errors(data, codes, atoms),
        debiased_errors=_errors(data, debiased, atoms),
        sizes=code_sizes(codes),
        solver_s=solver_s,
    )


class Greedy(NamedTuple):
    """Greedy codes of the tokens of one side, and their errors."""

    codes: csr_array
    errors: TokenErrors


def greedy_codes(
    data: TokenRows, coded: Coded, tokens: np.ndarray, n_threads: int, device: str = "cpu"
) -> Greedy:
    """OMP codes of some tokens over the atoms of `coded`, with as many atoms per token as there."""
    rows, weights = data.rows[tokens], data.weights[tokens]
    mean = weighted_mean(coded.sizes.l0[tokens], weights)
    codes = omp_codes_with_mean(
        rows,
        coded.atoms,
        mean_nonzero=min(mean, float(min(coded.atoms.shape))),
        weights=weights,
        n_threads=n_threads,
        device=device,
    ).codes
    return Greedy(codes, token_errors(rows, reconstruct(codes, coded.atoms), data.mean))


def _errors(data: TokenRows, codes: csr_array, atoms: np.ndarray) -> TokenErrors:
    return token_errors(data.rows, reconstruct(codes, atoms), data.mean)


def learn_and_code(
    data: TokenRows, config: PursuitConfig, context: Context, *, start: np.ndarray | None = None
) -> tuple[Learned, Coded]:
    """Learn on the training tokens, from `start` if given, and code all tokens at that penalty."""
    learned = learn(data, config, context.n_threads, start=start, device=context.device)
    return learned, code_with(config, data, learned, context)


def code_with(
    config: CertifiedConfig, data: TokenRows, learned: Learned, context: Context
) -> Coded:
    """Certified codes of all tokens over a learned dictionary, at its penalty."""
    return code_rows(
        data,
        learned.atoms,
        learned.l1_penalty,
        nonnegative=config.nonnegative,
        tolerance=config.tolerance,
        n_threads=context.n_threads,
        device=context.device,
    )
