"""The precision to which a source stores its numbers: rounding to it, and the error that it makes.

Names are those of the `dtype` fact: of safetensors and NumPy (F16, bfloat16) or of GGUF (Q8_0).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trials.api import TrialError


class _Blocks(NamedTuple):
    """Blocks of consecutive numbers that share a scale; an offset too where `affine`.

    `n_steps` are the steps from zero to the largest size, or from the least to the largest number.
    The scales of K types, which are themselves rounded, are taken as float16.
    """

    size: int
    n_steps: int
    affine: bool = False


_BLOCKS = {
    "Q8_0": _Blocks(32, 127),
    "Q5_0": _Blocks(32, 16),
    "Q4_0": _Blocks(32, 8),
    "Q5_1": _Blocks(32, 31, affine=True),
    "Q4_1": _Blocks(32, 15, affine=True),
    "Q6_K": _Blocks(16, 32),
    "Q5_K": _Blocks(32, 31, affine=True),
    "Q4_K": _Blocks(32, 15, affine=True),
    "Q3_K": _Blocks(16, 4),
    "Q2_K": _Blocks(16, 3, affine=True),
}
_BLOCKS |= {
    f"MLX_Q{bits}_{size}": _Blocks(size, 2**bits - 1, affine=True)
    for bits in (2, 4, 8)
    for size in (32, 64, 128)
}
_FLOATS = {
    "BF16": 7,
    "BFLOAT16": 7,
    "F16": 10,
    "FLOAT16": 10,
    "F32": 23,
    "FLOAT32": 23,
    "F64": 23,
    "FLOAT64": 23,
}
"""Bits of the mantissa; rows are float32 whatever was stored."""
_TRIED = 1000
_LEAST_EXPONENT = {7: -126, 10: -14, 23: -126}


def stored_precision(rows: np.ndarray, dtype: str) -> str:
    """The coarsest precision that holds the rows exactly: F32 files often hold rounded numbers.

    Besides the type itself, 8-bit blocks, BF16 and F16 are tried, on some rows. A type whose
    rounding is not known here is given back as it is named.
    """
    name = dtype.upper()
    if (mantissa := _FLOATS.get(name)) is None:
        return name
    some = rows[:: max(1, len(rows) // _TRIED)]
    for coarser in ("Q8_0", "BF16", "F16"):
        if _FLOATS.get(coarser, 0) < mantissa and np.array_equal(rounded(some, coarser), some):
            return coarser
    return {7: "BF16", 10: "F16"}.get(mantissa, "F32")


def rounded(rows: np.ndarray, precision: str) -> np.ndarray:
    """The rows as a file of that precision would give them back, float32, (n_rows, d_model)."""
    name = precision.upper()
    if name not in _BLOCKS:
        return _rounded_floats(rows, _mantissa(precision))
    blocks, steps, least = _in_blocks(rows, _BLOCKS[name])
    counts = np.divide(blocks - least, steps, out=np.zeros_like(blocks), where=steps > 0)
    n_steps = _BLOCKS[name].n_steps
    counts = np.clip(np.rint(counts), 0 if _BLOCKS[name].affine else -n_steps, n_steps)
    back = (counts * steps + least).reshape(len(rows), -1)[:, : rows.shape[1]]
    return np.ascontiguousarray(back, dtype=np.float32)


def rounding_error(rows: np.ndarray, precision: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the squared error that rounding gave each row, (n_rows,).

    The error of a number is uniform over its step s: its square has mean s^2 / 12 and variance
    s^4 / 180, and numbers are independent. The steps are read off the rounded rows.
    """
    name = precision.upper()
    if name in _BLOCKS:
        size = _BLOCKS[name].size
        _, steps, _ = _in_blocks(rows, _BLOCKS[name])
        last = rows.shape[1] - size * (steps.shape[1] - 1)
        sizes = np.full(steps.shape[1], size)
        sizes[-1] = last
        squares, fourths = (steps[:, :, 0].astype(np.float64) ** power @ sizes for power in (2, 4))
    else:
        step = _float_steps(rows, _mantissa(precision)).astype(np.float64)
        squares, fourths = ((step**power).sum(axis=1) for power in (2, 4))
    return squares / 12, np.sqrt(fourths / 180)


def _mantissa(precision: str) -> int:
    if (bits := _FLOATS.get(precision.upper())) is None:
        known = ", ".join([*_BLOCKS, "BF16", "F16", "F32", "F64"])
        raise TrialError(f"the rounding of dtype {precision} is not known here; known: {known}")
    return bits


def _in_blocks(rows: np.ndarray, kind: _Blocks) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows as (n_rows, n_blocks, size); the step and the offset of each block, (.., .., 1)."""
    n_blocks = -(-rows.shape[1] // kind.size)
    missing = n_blocks * kind.size - rows.shape[1]
    # Copies of the last number fill the last block: they do not change its range.
    padded = np.pad(rows.astype(np.float32), ((0, 0), (0, missing)), mode="edge")
    blocks = padded.reshape(len(rows), n_blocks, kind.size)
    if kind.affine:
        least = blocks.min(axis=2, keepdims=True)
        reach = blocks.max(axis=2, keepdims=True) - least
        least = least.astype(np.float16).astype(np.float32)
    else:
        least = np.zeros((len(rows), n_blocks, 1), dtype=np.float32)
        reach = np.abs(blocks).max(axis=2, keepdims=True)
    return blocks, (reach / kind.n_steps).astype(np.float16).astype(np.float32), least


def _float_steps(rows: np.ndarray, mantissa: int) -> np.ndarray:
    """Distance of neighbouring numbers of that mantissa at each entry."""
    exponent = np.maximum(np.frexp(rows)[1] - 1, _LEAST_EXPONENT[mantissa])
    return np.asarray(np.ldexp(np.float32(1.0), exponent - mantissa))


def _rounded_floats(rows: np.ndarray, mantissa: int) -> np.ndarray:
    if mantissa == 23:
        return np.ascontiguousarray(rows, dtype=np.float32)
    if mantissa == 10:
        return rows.astype(np.float16).astype(np.float32)
    steps = _float_steps(rows, mantissa)
    return (np.rint(rows / steps) * steps).astype(np.float32)
