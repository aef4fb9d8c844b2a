"""What every coder refuses: mismatched shapes, NaN and infinity, zero atoms, bad penalties."""

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

# Lengths that must agree have different names where our own ValueError reports a mismatch: with one
# name the run-time check of shapes would raise first.
Penalty = float | int | np.floating | Float[np.ndarray, " n_penalties"]


def check_problem(
    signals: Float[np.ndarray, "n_signals d_model"],
    atoms: Float[np.ndarray, "n_atoms d_dictionary"],
) -> None:
    """Raise ValueError unless both are finite matrices of the same width and no atom is zero."""
    for name, array in (("signals", signals), ("atoms", atoms)):
        if array.ndim != 2 or 0 in array.shape:
            raise ValueError(f"{name} has shape {array.shape}; it must be a matrix, not empty")
        if array.dtype not in (np.float32, np.float64):
            raise ValueError(f"{name} is {array.dtype}; it must be float32 or float64")
        # A sum with a NaN or infinite entry is not finite. Look for the entry only then.
        with np.errstate(over="ignore", invalid="ignore"):
            total = np.sum(array)
        if not np.isfinite(total):
            rows = np.flatnonzero(~np.isfinite(array).all(axis=1))
            if len(rows):
                raise ValueError(f"{name} holds NaN or infinity, first in row {rows[0]}")
    if signals.shape[1] != atoms.shape[1]:
        raise ValueError(
            f"signals have {signals.shape[1]} columns and atoms have {atoms.shape[1]}; "
            "they must have as many"
        )
    zero = np.flatnonzero(~atoms.any(axis=1))
    if len(zero):
        raise ValueError(f"{len(zero)} of the atoms are zero, first row {zero[0]}")


def check_penalties(l1_penalty: Penalty, n_signals: int) -> Float[np.ndarray, " n_signals"]:
    """One positive, finite float64 penalty per signal; ValueError otherwise."""
    penalties = np.asarray(l1_penalty, dtype=np.float64)
    if penalties.ndim and penalties.shape != (n_signals,):
        raise ValueError(
            f"l1_penalty has shape {penalties.shape}; it must be a number or ({n_signals},)"
        )
    if not (np.isfinite(penalties).all() and (penalties > 0).all()):
        worst = penalties.flat[int(np.argmin(np.where(np.isfinite(penalties), penalties, -np.inf)))]
        raise ValueError(f"l1_penalty is {worst}; it must be positive and finite")
    return np.broadcast_to(penalties, (n_signals,))


def check_tolerance(tolerance: float) -> None:
    """ValueError unless the relative gap asked for is finite and not negative."""
    if not 0 <= tolerance < np.inf:
        raise ValueError(f"tolerance is {tolerance}; it must be finite and not negative")


def check_codes(name: str, codes: csr_array, shape: tuple[int, int], nonnegative: bool) -> None:
    """Raise ValueError unless the codes have that shape, are finite and of the right sign."""
    if codes.shape != shape:
        raise ValueError(f"{name} has shape {codes.shape}; it must be {shape}")
    if not np.isfinite(codes.data).all():
        raise ValueError(f"{name} holds NaN or infinity")
    if nonnegative and (codes.data < 0).any():
        raise ValueError(f"{name} holds negative codes, and nonnegative codes are asked for")
