"""Planted structure next to sparse codes, and curves with a known limit."""

from __future__ import annotations

import numpy as np

from study.selftest.check import Check, Expected, Measured
from trials.inputs.controls.null_rows import gaussian_spectrum
from trials.inputs.controls.planted import Planted, Shape, ordered_points, planted_rows
from trials.kernels.sparse_coding import (
    critical_penalties,
    debiased_codes,
    lasso_codes,
    reconstruct,
)
from trials.kernels.statistics import asymptote, permutation_p_value
from trials.kernels.structure import (
    binding_gain,
    circularity,
    linear_predictability,
    participation_ratio,
)

_D_MODEL = 64
_ENDINGS = {"offset": 1.0, "zero": -1.0, "not identified": 0.0}


def _planted(rng: np.random.Generator) -> Planted:
    return planted_rows(3000, _D_MODEL, n_atoms=256, sparsity=4, snr_db=20.0, rng=rng)


def _residuals(rows: np.ndarray, atoms: np.ndarray, *, debiased: bool) -> np.ndarray:
    penalty = 0.3 * float(np.median(critical_penalties(rows, atoms)))
    codes = lasso_codes(rows, atoms, l1_penalty=penalty, n_threads=1).codes
    if debiased:
        codes = debiased_codes(rows, atoms, codes, n_threads=1)
    return np.asarray(rows - reconstruct(codes, atoms))


def _predicted(rows: np.ndarray, left: np.ndarray) -> float:
    sides = slice(0, 2000), slice(2000, 2500), slice(2500, None)
    signals = (rows[sides[0]], rows[sides[1]], rows[sides[2]])
    values = (left[sides[0]], left[sides[1]], left[sides[2]])
    return linear_predictability(signals, values).r2_held_out


def _dark_matter(rng: np.random.Generator) -> Measured:
    planted = _planted(rng)
    shrunk, plain = (
        _residuals(planted.rows, planted.atoms, debiased=debiased) for debiased in (False, True)
    )
    null = gaussian_spectrum(planted.rows, np.ones(len(planted.rows)), rng)
    return {
        "R2 of lasso residuals (an artefact)": _predicted(planted.rows, shrunk),
        "R2 of debiased residuals": _predicted(planted.rows, plain),
        "R2 of the Gaussian's, debiased": _predicted(
            null, _residuals(null, planted.atoms, debiased=True)
        ),
    }


def _dense_circle(rng: np.random.Generator) -> Measured:
    planted = _planted(rng)
    angle = rng.uniform(0, 2 * np.pi, len(planted.rows))
    plane = np.linalg.qr(rng.standard_normal((_D_MODEL, 2)))[0].T
    circle = 0.3 * np.stack([np.cos(angle), np.sin(angle)], axis=1) @ plane
    found = {}
    for name, rows in (("with it", planted.rows + circle), ("without", planted.rows)):
        left = _residuals(rows.astype(np.float32), planted.atoms, debiased=True)
        found[f"dimensions of the residual, {name}"] = participation_ratio(left, rng)
    return found


def _in_order(rng: np.random.Generator) -> Measured:
    found: dict[str, float] = {}
    for shape in ("circle", "line", "none"):
        points = ordered_points(shape, 12, 576, share=0.4, rng=rng)
        got = circularity(points, np.arange(12), 12, n_permutations=999, rng=rng)
        found |= {
            f"p, {shape}": got.p,
            f"p of a curve, {shape}": got.p_curve,
            f"closure, {shape}": got.closure,
            f"circulant share, {shape}": got.circulant_share,
        }
    open_shapes: tuple[Shape, ...] = ("line", "arc")
    for shape in open_shapes:
        points = ordered_points(shape, 12, 576, share=0.4, rng=rng, cut=5)
        found |= {
            f"closure, {shape} cut at the sixth label": circularity(
                points, np.arange(12), 12, n_permutations=99, rng=rng
            ).closure
        }
    return found


def _endings(rng: np.random.Generator) -> Measured:
    times = np.unique(np.rint(np.geomspace(1, 1e5, 16)))
    curves = {
        "offset 0.1": 0.1 + times**-0.5,
        "log decay to zero": 1 / (1 + 0.5 * np.log1p(times)),
        "flattening power to zero": times**-0.4 * (1 + times / 300) ** 0.3,
    }
    found = {}
    for name, curve in curves.items():
        errors = curve * np.exp(0.01 * rng.standard_normal((5, len(times))))
        found[f"{name} (1 offset, 0 open, -1 zero)"] = _ENDINGS[
            asymptote(times, errors, noise=0.01).ending
        ]
    return found


def _binding(rng: np.random.Generator) -> Measured:
    n, a = 100, rng.standard_normal((100, _D_MODEL))
    noise = rng.standard_normal(a.shape)
    directions = np.linalg.qr(rng.standard_normal((_D_MODEL, 8)))[0]
    image = a @ (directions[:, :4] @ directions[:, 4:].T)
    image *= np.sqrt((noise**2).sum() / (image**2).sum())
    others = rng.standard_normal((_D_MODEL, n // 4 - 4))
    basis = np.linalg.qr(np.hstack([directions[:, :4], others]))[0]
    found = {}
    for name, left in (
        ("bound", np.sqrt(0.6) * image + np.sqrt(0.4) * noise),
        ("offset alone", noise),
    ):
        b = 0.8 * a + directions[:, 0] + left
        got = binding_gain(a, b, basis, n_folds=5, n_permutations=39, rank=4, rng=rng)
        found[f"gain, {name}"] = got.gain
        found[f"p, {name}"] = permutation_p_value(got.gain, got.null)
    return found


CHECKS = (
    Check(
        "dark matter that is none",
        {
            "R2 of lasso residuals (an artefact)": Expected(low=0.5),
            "R2 of debiased residuals": Expected(high=0.05),
            "R2 of the Gaussian's, debiased": Expected(low=0.1),
        },
        _dark_matter,
    ),
    Check(
        "a dense circle of 30 % amplitude",
        {
            "dimensions of the residual, with it": Expected(high=8),
            "dimensions of the residual, without": Expected(low=40),
        },
        _dense_circle,
    ),
    Check(
        "pairs bound by a matrix of rank 4, and by an offset",
        {
            "gain, bound": Expected(low=0.1),
            "p, bound": Expected(high=0.05),
            "gain, offset alone": Expected(high=0.05),
        },
        _binding,
    ),
    Check(
        "twelve points in order: on a circle, on a line, anywhere",
        {
            "p, circle": Expected(high=0.01),
            "closure, circle": Expected(low=0.3),
            "circulant share, circle": Expected(low=0.6),
            "p of a curve, line": Expected(high=0.01),
            "closure, line": Expected(high=0),
            "circulant share, line": Expected(high=0.6),
            "closure, line cut at the sixth label": Expected(high=0.3),
            "closure, arc cut at the sixth label": Expected(high=0.3),
            "p, none": Expected(low=0.01),
        },
        _in_order,
    ),
    Check(
        "where curves end",
        {
            "offset 0.1 (1 offset, 0 open, -1 zero)": Expected(0, 1),
            "log decay to zero (1 offset, 0 open, -1 zero)": Expected(-1, 0),
            "flattening power to zero (1 offset, 0 open, -1 zero)": Expected(-1, 0),
        },
        _endings,
    ),
)
