"""Certified codes of every token over a dictionary, and what they leave."""

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
    reconstruct,
    token_errors,
    without_negligible,
)
from trials.pursuit.kind import CertifiedConfig, PursuitConfig
from trials.pursuit.learn import Learned, learn


class Coded(NamedTuple):
    """Codes of all tokens over one dictionary.

    Attributes:
        atoms: float32, (n_atoms, d_model).
        codes: as a solver or an encoder gave them, (n_tokens, n_atoms).
        debiased: least squares on the same supports.
        gap: relative duality gap of each token's code; NaN for codes that solve no problem.
        errors, debiased_errors: what the two codes leave.
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
    """Basis pursuit codes of every token, certified, and their least squares."""
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
    return with_errors(data, atoms, solved.codes, solved.gap, started, n_threads)


def with_errors(
    data: TokenRows,
    atoms: np.ndarray,
    codes: csr_array,
    gap: np.ndarray,
    started: float,
    n_threads: int,
) -> Coded:
    """Codes that were asked for at `started` (of `time.perf_counter`), and what they leave."""
    codes = without_negligible(codes, np.linalg.norm(data.rows, axis=1))
    debiased = debiased_codes(data.rows, atoms, codes, n_threads=n_threads)
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


def _errors(data: TokenRows, codes: csr_array, atoms: np.ndarray) -> TokenErrors:
    return token_errors(data.rows, reconstruct(codes, atoms), data.mean)


def learn_and_code(
    data: TokenRows, config: PursuitConfig, context: Context, *, start: np.ndarray | None = None
) -> tuple[Learned, Coded]:
    """Learn on the training tokens, from `start` if given; code all tokens at the same penalty."""
    learned = learn(data, config, context.n_threads, start=start)
    return learned, codes(config, data, learned, context)


def codes(config: CertifiedConfig, data: TokenRows, learned: Learned, context: Context) -> Coded:
    """Certified codes of all tokens over a dictionary, at the penalty that it comes with."""
    return code_rows(
        data,
        learned.atoms,
        learned.l1_penalty,
        nonnegative=config.nonnegative,
        tolerance=config.tolerance,
        n_threads=context.n_threads,
        device=context.device,
    )
