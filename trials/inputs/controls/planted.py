"""Rows made of known parts, to compare learners and tests with the truth."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np


class Planted(NamedTuple):
    """Sparse rows and what they were made from.

    Attributes:
        rows: float32, (n_tokens, d_model); mean squared norm 1 before noise.
        atoms: float32, (n_atoms, d_model), unit rows.
    """

    rows: np.ndarray
    atoms: np.ndarray


def planted_rows(
    n_tokens: int,
    d_model: int,
    *,
    n_atoms: int,
    sparsity: int,
    snr_db: float,
    rng: np.random.Generator,
) -> Planted:
    """Each row a sum of `sparsity` random unit atoms with Gaussian coefficients, plus white noise.

    `snr_db` is ten times the decimal logarithm of signal energy over noise energy.
    """
    atoms = rng.standard_normal((n_atoms, d_model))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    which = rng.random((n_tokens, n_atoms)).argpartition(sparsity, axis=1)[:, :sparsity]
    size = rng.standard_normal((n_tokens, sparsity)) / np.sqrt(sparsity)
    signals = np.einsum("is,isd->id", size, atoms[which])
    noise = rng.standard_normal(signals.shape) * np.sqrt(10 ** (-snr_db / 10) / d_model)
    return Planted((signals + noise).astype(np.float32), atoms.astype(np.float32))


Shape = Literal["circle", "line", "arc", "walk", "chain", "none"]


def ordered_points(
    shape: Shape,
    n_points: int,
    d_model: int,
    *,
    share: float,
    rng: np.random.Generator,
    cut: int = 0,
    jitter: float = 0.0,
) -> np.ndarray:
    """Points in order on a curve, `share` of their variance, in white noise; (n_points, d_model).

    A circle; a straight line; half a circle; a random walk in 20 dimensions; a chain whose points
    correlate as exp(-distance / 3); or only noise. All but the circle are open, and their ends lie
    between the labels `cut` - 1 and `cut`. Each point is moved along the curve by up to `jitter`
    steps either way.
    """
    noise = rng.standard_normal((n_points, d_model))
    noise -= noise.mean(axis=0)
    if shape == "none":
        return noise / np.linalg.norm(noise)
    t = np.arange(n_points) + jitter * rng.uniform(-1, 1, n_points)
    if shape in {"circle", "arc"}:
        angle = 2 * np.pi * t / n_points if shape == "circle" else np.pi * t / (n_points - 1)
        curve = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    elif shape == "line":
        curve = t[:, None].astype(np.float64)
    elif shape == "walk":
        curve = rng.standard_normal((n_points, 20)).cumsum(axis=0)
    else:
        alike = np.exp(-np.abs(t[:, None] - t) / 3)
        curve = np.linalg.cholesky(alike) @ rng.standard_normal((n_points, 40))
    curve = np.roll(curve - curve.mean(axis=0), cut, axis=0)
    placed = curve @ np.linalg.qr(rng.standard_normal((d_model, curve.shape[1])))[0].T
    signal = np.sqrt(share) * placed / np.linalg.norm(placed)
    return np.asarray(signal + np.sqrt(1 - share) * noise / np.linalg.norm(noise))


def planted_ring(
    points: np.ndarray, n_on_ring: int, *, share: float, rng: np.random.Generator
) -> np.ndarray:
    """`points` with a ring added that has `share` of the sum of squares about the mean point.

    The first `n_on_ring` points lie at random angles on a circle in a random plane; the others
    stay at its centre. What the points were before has the rest of the sum of squares.
    """
    noise = points.astype(np.float64) - points.astype(np.float64).mean(axis=0)
    angle = rng.uniform(0, 2 * np.pi, n_on_ring)
    plane = np.linalg.qr(rng.standard_normal((points.shape[1], 2)))[0].T
    ring = np.zeros(points.shape)
    ring[:n_on_ring] = np.stack([np.cos(angle), np.sin(angle)], axis=1) @ plane
    ring -= ring.mean(axis=0)
    signal = np.sqrt(share) * ring / np.linalg.norm(ring)
    return np.asarray(signal + np.sqrt(1 - share) * noise / np.linalg.norm(noise))
