"""Which coder and which learner finds planted sparse codes best, at equal atoms per token.

    python -m benchmarks.coders

Rows have 1 + Poisson(s - 1) atoms each, plus noise. `error` is the fraction of variance
unexplained of held-out rows, `of clean` the same of the rows without their noise, `support` the
share of the coded atoms that are planted ones (for the true dictionary). The order decides which
coder stands first in the kinds: no real row enters.

Measured: orthogonal matching pursuit, with atoms where they lower the error most, has the lowest
error in all 18 cases over every dictionary, and the LASSO's codes as they are the largest. For OMP,
the learner whose codes are OMP's, started from the LASSO's dictionary, has the lower error in 15 of
18 cases (0.042 vs. 0.063, 0.094 vs. 0.105) and ties in one. In two it has the larger one, by at
most 0.004, where 9 rows per atom and 8 atoms per token leave room to overfit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from trials.kernels.dictionaries import learn_dictionary, learn_greedy_dictionary
from trials.kernels.sparse_coding import (
    debiased_codes,
    lasso_codes,
    omp_codes,
    omp_codes_with_mean,
    penalty_for_l0,
)

CASES = tuple(
    (n_atoms, per_token, noise)
    for n_atoms in (128, 256, 512)
    for per_token in (4, 8)
    for noise in (0.1, 0.3, 0.5)
)
"""Planted atoms in 64 dimensions, atoms per token, norm of the noise over that of the rows."""


class Found(NamedTuple):
    """What one coder finds over one dictionary; `support` is NaN for a learned one."""

    dictionary: str
    coder: str
    l0: float
    error: float
    of_clean: float
    support: float


class Problem(NamedTuple):
    """Rows with their noise and without, the planted atoms and the codes."""

    rows: np.ndarray
    clean: np.ndarray
    atoms: np.ndarray
    codes: np.ndarray


def planted(n_atoms: int, per_token: int, noise: float, *, n_rows: int, d_model: int) -> Problem:
    """Random unit atoms, coefficients of size 0.5 to 1.5 with either sign, white noise."""
    rng = np.random.default_rng(0)
    atoms = rng.standard_normal((n_atoms, d_model))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    codes = np.zeros((n_rows, n_atoms))
    for row in codes:
        n = min(1 + rng.poisson(per_token - 1), d_model // 2)
        chosen = rng.choice(n_atoms, n, replace=False)
        row[chosen] = rng.choice([-1.0, 1.0], n) * rng.uniform(0.5, 1.5, n)
    clean = codes @ atoms
    white = rng.standard_normal(clean.shape)
    rows = clean + white * noise * np.linalg.norm(clean) / np.linalg.norm(white)
    return Problem(rows.astype(np.float32), clean, atoms.astype(np.float32), codes)


def compare(
    n_atoms: int, per_token: int, noise: float, *, n_rows: int = 5000, d_model: int = 64
) -> Iterator[Found]:
    """Every coder over the true dictionary and over those of both learners."""
    given = planted(n_atoms, per_token, noise, n_rows=n_rows, d_model=d_model)
    n_train = n_rows - n_rows // 10
    train = given.rows[:n_train]
    lasso = learn_dictionary(train, n_atoms, l1_penalty=0.3, rng=np.random.default_rng(1)).atoms
    greedy = learn_greedy_dictionary(
        train,
        n_atoms,
        mean_nonzero=float(per_token),
        warm_start=lasso,
        rng=np.random.default_rng(1),
    ).atoms
    held_out = Problem(
        given.rows[n_train:], given.clean[n_train:], given.atoms, given.codes[n_train:]
    )
    for name, atoms in (("true", given.atoms), ("lasso", lasso), ("omp", greedy)):
        for coder, codes in coders(held_out.rows, atoms, float(per_token)):
            yield _measured(name, coder, held_out, atoms, codes)


def coders(
    rows: np.ndarray, atoms: np.ndarray, per_token: float
) -> Iterator[tuple[str, csr_array]]:
    """Codes of each coder with `per_token` atoms in the mean."""
    penalty = penalty_for_l0(rows, atoms, per_token).l1_penalty
    lasso = lasso_codes(rows, atoms, l1_penalty=penalty).codes
    yield "lasso", lasso
    yield "lasso + least squares", debiased_codes(rows, atoms, lasso)
    counts = np.minimum(np.diff(lasso.indptr), min(atoms.shape))
    yield "omp, as many as lasso", omp_codes(rows, atoms, n_nonzero=counts).codes
    yield "omp, equal numbers", omp_codes(rows, atoms, n_nonzero=round(per_token)).codes
    yield "omp", omp_codes_with_mean(rows, atoms, mean_nonzero=lasso.nnz / len(rows)).codes


def _measured(
    dictionary: str, coder: str, given: Problem, atoms: np.ndarray, codes: csr_array
) -> Found:
    fitted = codes @ atoms
    planted_support = given.codes != 0
    hits = float(planted_support[codes.nonzero()].mean()) if dictionary == "true" else np.nan
    return Found(
        dictionary,
        coder,
        codes.nnz / len(given.rows),
        float(((given.rows - fitted) ** 2).sum() / (given.rows**2).sum()),
        float(((given.clean - fitted) ** 2).sum() / (given.clean**2).sum()),
        hits,
    )


def main() -> None:
    """Print a table per case."""
    for case in CASES:
        print("{} planted atoms, {} per token, noise {:g}".format(*case))
        for found in compare(*case):
            print(
                f"  {found.dictionary:6} {found.coder:22} l0 {found.l0:5.2f}  error "
                f"{found.error:.3f}  of clean {found.of_clean:.3f}  support {found.support:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
