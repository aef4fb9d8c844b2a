"""Planted dictionaries vs. their nulls, certificates, and rows with a bounded cosine."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from study.selftest.check import Check, Expected, Measured
from trials.inputs.controls.null_rows import gaussian_spectrum
from trials.inputs.controls.planted import planted_rows
from trials.kernels.dictionaries import learn_dictionary, match_dictionaries, random_rows
from trials.kernels.sparse_coding import (
    critical_penalties,
    debiased_codes,
    duality_gap,
    fvu,
    lasso_codes,
    reconstruct,
    token_errors,
)

_D_MODEL, _N_ATOMS, _SPARSITY, _N_TRAIN, _N_HELD_OUT = 64, 256, 4, 4000, 1000

_PENALTY, _PENALTY_OF_NULL = 0.2, 0.8
"""Relative to the median critical penalty; the null then takes at least as many atoms per row."""


class Solved(NamedTuple):
    """A dictionary, and the error of its debiased codes on training and held-out rows."""

    atoms: np.ndarray
    fvu_train: float
    fvu_held_out: float
    gap: float


def learned(rows: np.ndarray, n_atoms: int, penalty: float, rng: np.random.Generator) -> Solved:
    """Learn on all rows but the last `_N_HELD_OUT`; `penalty` is relative to the critical one."""
    train, held_out = rows[:-_N_HELD_OUT], rows[-_N_HELD_OUT:]
    start = rng.standard_normal((n_atoms, rows.shape[1])).astype(np.float32)
    start /= np.linalg.norm(start, axis=1, keepdims=True)
    l1_penalty = penalty * float(np.median(critical_penalties(train, start)))
    atoms = learn_dictionary(
        train, n_atoms, l1_penalty=l1_penalty, max_passes=60, rng=rng, n_threads=1
    ).atoms
    train_error, train_gap = _error(train, atoms, l1_penalty)
    held_out_error, held_out_gap = _error(held_out, atoms, l1_penalty)
    return Solved(atoms, train_error, held_out_error, max(train_gap, held_out_gap))


def _error(rows: np.ndarray, atoms: np.ndarray, l1_penalty: float) -> tuple[float, float]:
    solved = lasso_codes(rows, atoms, l1_penalty=l1_penalty, n_threads=1)
    codes = debiased_codes(rows, atoms, solved.codes, n_threads=1)
    errors = token_errors(rows, reconstruct(codes, atoms), np.zeros(rows.shape[1]))
    return fvu(errors, np.ones(len(rows))), float(solved.gap.max())


def _likeness(found: np.ndarray, truth: np.ndarray) -> float:
    """MMCS: the mean over true atoms of the largest |cos| with a found one."""
    return float(np.abs(match_dictionaries(truth, found).of_first.cosine).mean())


def _sparse(rng: np.random.Generator) -> Measured:
    planted = planted_rows(
        _N_TRAIN + _N_HELD_OUT,
        _D_MODEL,
        n_atoms=_N_ATOMS,
        sparsity=_SPARSITY,
        snr_db=20.0,
        rng=rng,
    )
    real = learned(planted.rows, 2 * _N_ATOMS, _PENALTY, rng)
    rows = gaussian_spectrum(planted.rows, np.ones(len(planted.rows)), rng)
    null = learned(rows, 2 * _N_ATOMS, _PENALTY_OF_NULL, rng)
    return {
        "held-out error (noise 0.0099)": real.fvu_held_out,
        "likeness to the truth (MMCS)": _likeness(real.atoms, planted.atoms),
        "largest duality gap": real.gap,
        "held-out error of the Gaussian": null.fvu_held_out,
        "likeness of the Gaussian's": _likeness(null.atoms, planted.atoms),
    }


def _two_seeds(rng: np.random.Generator) -> Measured:
    n = _N_TRAIN + _N_HELD_OUT
    planted = planted_rows(
        n, _D_MODEL, n_atoms=_N_ATOMS, sparsity=_SPARSITY, snr_db=20.0, rng=rng
    ).rows
    null = gaussian_spectrum(planted, np.ones(n), rng)
    alike = {}
    for name, rows, penalty in (
        ("planted", planted, _PENALTY),
        ("Gaussian", null, _PENALTY_OF_NULL),
    ):
        first, second = (learned(rows, _N_ATOMS, penalty, rng).atoms for _ in range(2))
        alike[f"likeness of two seeds, {name}"] = _likeness(first, second)
    return alike


def _as_many_atoms_as_rows(rng: np.random.Generator) -> Measured:
    n = 1500
    planted = planted_rows(
        n + _N_HELD_OUT, _D_MODEL, n_atoms=_N_ATOMS, sparsity=_SPARSITY, snr_db=20.0, rng=rng
    )
    found = learned(planted.rows, n, _PENALTY, rng)
    return {
        "held-out error": found.fvu_held_out,
        "held-out over training error": found.fvu_held_out / found.fvu_train,
    }


def _certificate(rng: np.random.Generator) -> Measured:
    atoms = rng.standard_normal((128, _D_MODEL))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    signals = rng.standard_normal((200, _D_MODEL))
    penalty = 0.3 * float(np.median(critical_penalties(signals, atoms)))
    solved = lasso_codes(signals, atoms, l1_penalty=penalty, tolerance=1e-9, n_threads=1)
    wrong = solved.codes.copy()
    wrong.data *= 1.05
    gap = duality_gap(signals, atoms, wrong, l1_penalty=penalty)
    at_critical = lasso_codes(
        signals, atoms, l1_penalty=critical_penalties(signals, atoms) * (1 + 1e-12), n_threads=1
    )
    return {
        "largest duality gap": float(solved.gap.max()),
        "least gap of codes 5 % too large": float(gap.min()),
        "atoms used at the critical penalty": float(at_critical.codes.nnz),
    }


def _threshold(rng: np.random.Generator) -> Measured:
    drawn = [random_rows(2000, 64, max_cosine=0.40, rng=rng, n_threads=1) for _ in range(2)]
    rejections = sum(d.n_rejections for d in drawn) / sum(d.expected_rejections for d in drawn)
    return {
        "largest |cosine|": max(d.max_cosine for d in drawn),
        "rejections over theory": rejections,
    }


CHECKS = (
    Check(
        "sparse rows, 256 atoms, 4 per row",
        {
            "held-out error (noise 0.0099)": Expected(0.005, 0.02),
            "likeness to the truth (MMCS)": Expected(low=0.98),
            "largest duality gap": Expected(high=1e-5),
            "held-out error of the Gaussian": Expected(low=0.3),
            "likeness of the Gaussian's": Expected(high=0.7),
        },
        _sparse,
    ),
    Check(
        "two seeds of one learner",
        {
            "likeness of two seeds, planted": Expected(low=0.9),
            "likeness of two seeds, Gaussian": Expected(high=0.75),
        },
        _two_seeds,
    ),
    Check(
        "as many atoms as rows",
        {"held-out error": Expected(low=0.01), "held-out over training error": Expected(low=4)},
        _as_many_atoms_as_rows,
    ),
    Check(
        "certificates of exact codes",
        {
            "largest duality gap": Expected(high=1e-9),
            "least gap of codes 5 % too large": Expected(low=1e-5),
            "atoms used at the critical penalty": Expected(0, 0),
        },
        _certificate,
    ),
    Check(
        "2000 rows of 64 under |cos| 0.40",
        {"largest |cosine|": Expected(0.39, 0.40), "rejections over theory": Expected(0.85, 1.15)},
        _threshold,
    ),
)
