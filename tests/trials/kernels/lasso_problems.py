"""LASSO problems, plain and difficult, and their objective."""

import numpy as np


def problem(n_signals=60, n_atoms=96, d_model=48, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    atoms = rng.standard_normal((n_atoms, d_model))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    signals = rng.standard_normal((n_signals, d_model))
    return signals.astype(dtype), atoms.astype(dtype)


def half_energies(signals):
    return 0.5 * (signals.astype(np.float64) ** 2).sum(axis=1)


def objectives(signals, atoms, codes, penalty):
    residuals = signals.astype(np.float64) - codes.astype(np.float64) @ atoms.astype(np.float64)
    return half_energies(residuals) + penalty * abs(codes).sum(axis=1, dtype=np.float64)


def difficult(trouble, n_signals=40):
    signals, atoms = problem(n_signals=n_signals)
    rng = np.random.default_rng(2)
    if trouble == "duplicates":
        atoms = np.concatenate([atoms, atoms, atoms[:7]])
    elif trouble == "opposites":
        atoms = np.concatenate([atoms, -atoms])
    elif trouble == "near duplicates":
        atoms = np.concatenate([atoms, atoms + 1e-6 * rng.standard_normal(atoms.shape)])
    elif trouble == "rank 5":
        atoms = rng.standard_normal((96, 5)) @ rng.standard_normal((5, 48)) / 15
    elif trouble == "signals are atoms":
        signals = atoms[:n_signals].copy()
    else:
        atoms *= 10.0 ** rng.uniform(-1, 1, (len(atoms), 1))
    return signals, atoms


TROUBLES = (
    "duplicates",
    "opposites",
    "near duplicates",
    "rank 5",
    "signals are atoms",
    "norms over two decades",
)
