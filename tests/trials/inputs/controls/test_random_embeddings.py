from __future__ import annotations

import numpy as np
import pytest

from trials.inputs.controls.random_embeddings import permuted_embedding, random_embedding
from trials.kernels.dictionaries import largest_cosine


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def learned() -> np.ndarray:
    """Rows with a mean, a spectrum and lengths of their own."""
    draw = rng().standard_normal((3000, 12)) * np.linspace(0.2, 2, 12) + np.arange(12) / 6
    return (draw * rng().uniform(0.5, 2, (3000, 1))).astype(np.float32)


def test_rows_on_a_sphere_have_one_length_and_keep_the_threshold() -> None:
    found = random_embedding("sphere", 500, 32, row_norm=1.5, rng=rng(), max_cosine=0.6)
    np.testing.assert_allclose(np.linalg.norm(found.rows, axis=1), 1.5, rtol=1e-5)
    assert largest_cosine(found.rows) <= 0.6 + 1e-6
    assert found.max_cosine == pytest.approx(largest_cosine(found.rows), abs=1e-6)
    assert found.n_rejections > 0
    assert found.expected_rejections > 0


def test_normal_rows_have_the_length_on_average() -> None:
    found = random_embedding("normal", 4000, 32, row_norm=1.5, rng=rng())
    assert np.square(found.rows).sum(axis=1).mean() == pytest.approx(1.5**2, rel=0.02)
    assert np.linalg.norm(found.rows, axis=1).std() > 0.1
    assert found.max_cosine == largest_cosine(found.rows)
    assert found.n_rejections == 0


def test_matched_norms_are_those_of_the_given_rows(learned: np.ndarray) -> None:
    found = random_embedding("norm_matched", 3000, 12, row_norm=9.0, rng=rng(), like=learned)
    lengths = np.linalg.norm(learned, axis=1)
    np.testing.assert_allclose(np.linalg.norm(found.rows, axis=1), lengths, rtol=1e-5)
    directions = found.rows / lengths[:, None]
    assert np.abs(directions.T @ directions / 3000 - np.eye(12) / 12).max() < 0.01


def test_a_matched_spectrum_has_mean_and_covariance_of_the_given_rows(
    learned: np.ndarray,
) -> None:
    found = random_embedding("spectrum_matched", 3000, 12, row_norm=9.0, rng=rng(), like=learned)
    np.testing.assert_allclose(found.rows.mean(axis=0), learned.mean(axis=0), atol=0.15)
    given, drawn = np.cov(learned.T), np.cov(found.rows.T)
    assert np.abs(given - drawn).max() < 0.1 * np.abs(given).max()
    assert not np.isclose(np.linalg.norm(found.rows, axis=1), np.linalg.norm(learned, axis=1)).any()


def test_permuted_rows_are_the_same_rows_of_other_tokens(learned: np.ndarray) -> None:
    permuted = permuted_embedding(learned, rng())
    assert sorted(map(bytes, permuted)) == sorted(map(bytes, learned))
    assert (permuted == learned).all(axis=1).mean() < 0.01


@pytest.mark.parametrize("distribution", ["norm_matched", "spectrum_matched"])
def test_rows_to_match_must_have_the_shape(distribution: str, learned: np.ndarray) -> None:
    for like in (None, learned[:5]):
        with pytest.raises(ValueError, match="are matched to 3000 rows of 12 numbers"):
            random_embedding(distribution, 3000, 12, row_norm=1.0, rng=rng(), like=like)  # type: ignore[arg-type]


@pytest.mark.parametrize("distribution", ["normal", "spectrum_matched"])
def test_only_directions_have_a_threshold(distribution: str, learned: np.ndarray) -> None:
    with pytest.raises(ValueError, match=f"{distribution} rows have no threshold"):
        random_embedding(
            distribution,  # type: ignore[arg-type]
            3000,
            12,
            row_norm=1.0,
            rng=rng(),
            max_cosine=0.9,
            like=learned,
        )
