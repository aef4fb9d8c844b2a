"""Dictionaries without features: unit directions that share only moments with given atoms."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_DRAWS = 4096
_ROUNDS = 12


class NullDirections(NamedTuple):
    """A Gaussian whose draws, scaled to unit length, have the moments that were asked for.

    Attributes:
        mean: float64, (d_model,), along the axes.
        deviations: float64, (d_model,), along the axes.
        axes: float64, (d_model, d_model), orthonormal columns.
    """

    mean: np.ndarray
    deviations: np.ndarray
    axes: np.ndarray

    def draw(self, n_atoms: int, rng: np.random.Generator) -> np.ndarray:
        """Unit rows, float32, (n_atoms, d_model)."""
        normal = rng.standard_normal((n_atoms, len(self.mean)))
        return (_unit(self.mean + self.deviations * normal) @ self.axes.T).astype(np.float32)


def directions_like(
    atoms: np.ndarray, rng: np.random.Generator, *, signed: bool = True
) -> NullDirections:
    """Directions with the second moment of the atoms' directions.

    With `signed` an atom counts as its opposite too, so the mean is 0; without, the directions
    have the atoms' mean as well, and the covariance along its axes. Scaling to unit length flattens
    a spectrum, so the Gaussian is made steeper until its scaled draws fit, to within the few per
    cent that a sample of draws resolves.
    """
    unit = _unit(atoms.astype(np.float64))
    wanted_mean = np.zeros(unit.shape[1]) if signed else unit.mean(axis=0)
    centred = unit - wanted_mean
    wanted, axes = np.linalg.eigh(centred.T @ centred / len(unit))
    wanted, wanted_mean = np.maximum(wanted, 0.0), wanted_mean @ axes
    normal = rng.standard_normal((_DRAWS, len(wanted)))
    normal /= np.sqrt((normal**2).mean(axis=0))
    mean, variances = wanted_mean, wanted
    for _ in range(_ROUNDS):
        drawn = _unit(mean + np.sqrt(variances) * normal)
        mean = np.zeros_like(mean) if signed else mean + wanted_mean - drawn.mean(axis=0)
        found = ((drawn - wanted_mean) ** 2).mean(axis=0)
        variances = variances * np.divide(wanted, found, out=np.zeros_like(wanted), where=found > 0)
    return NullDirections(mean, np.sqrt(variances), axes)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
