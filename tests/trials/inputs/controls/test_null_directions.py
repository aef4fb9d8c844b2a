"""Null directions against the moments that they were asked to have."""

from __future__ import annotations

import numpy as np
import pytest

from trials.inputs.controls.null_directions import directions_like


def steep_directions(n_atoms: int, d_model: int, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    drawn = rng.standard_normal((n_atoms, d_model)) * np.logspace(0, -1.5, d_model)
    drawn[:, 0] += shift
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@pytest.mark.parametrize("signed", [True, False])
def test_the_draws_have_unit_length_and_the_moments_of_the_atoms(signed: bool) -> None:
    atoms = steep_directions(400, 24, shift=0.0 if signed else 1.0)
    rng = np.random.default_rng(1)
    drawn = directions_like(atoms, rng, signed=signed).draw(40_000, rng).astype(np.float64)
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1, rtol=1e-5)
    wanted_mean = np.zeros(24) if signed else atoms.mean(axis=0)
    np.testing.assert_allclose(drawn.mean(axis=0), wanted_mean, atol=0.02)
    wanted = np.linalg.eigvalsh(atoms.T @ atoms / len(atoms))
    found = np.linalg.eigvalsh(drawn.T @ drawn / len(drawn))
    np.testing.assert_allclose(found, wanted, rtol=0.1, atol=1e-4)


def test_directions_stay_where_fewer_atoms_than_dimensions_lie() -> None:
    atoms = steep_directions(5, 24)
    rng = np.random.default_rng(2)
    drawn = directions_like(atoms, rng).draw(50, rng)
    span = np.linalg.svd(atoms, full_matrices=False)[2]
    np.testing.assert_allclose(drawn @ span.T @ span, drawn, atol=1e-5)
