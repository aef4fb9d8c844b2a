"""Codes of a sparse autoencoder, from its weights alone."""

import numpy as np
import pytest

from trials.kernels.dictionaries.autoencoder import Autoencoder, encode


def an_autoencoder(k: int = 0, threshold: float = 0.0, n_atoms: int = 24) -> Autoencoder:
    rng = np.random.default_rng(0)
    atoms = rng.standard_normal((n_atoms, 8)).astype(np.float32)
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    return Autoencoder(
        atoms=atoms,
        encoder=atoms + 0.1 * rng.standard_normal(atoms.shape).astype(np.float32),
        encoder_bias=0.1 * rng.standard_normal(n_atoms).astype(np.float32),
        decoder_bias=rng.standard_normal(8).astype(np.float32),
        threshold=np.full(n_atoms, threshold, np.float32),
        k=k,
    )


def signals(n_signals: int = 5000) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((n_signals, 8)).astype(np.float32)


def activations(autoencoder: Autoencoder, rows: np.ndarray) -> np.ndarray:
    return (rows - autoencoder.decoder_bias) @ autoencoder.encoder.T + autoencoder.encoder_bias


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_codes_are_the_activations_above_the_threshold(threshold: float) -> None:
    autoencoder = an_autoencoder(threshold=threshold)
    found = activations(autoencoder, signals())
    codes = encode(autoencoder, signals()).toarray()
    np.testing.assert_allclose(codes, np.where(found > threshold, found, 0), atol=2e-6)


@pytest.mark.parametrize("k", [1, 3, 23])
def test_topk_keeps_the_largest_of_the_positive_activations(k: int) -> None:
    autoencoder = an_autoencoder(k)
    found = np.maximum(activations(autoencoder, signals()), 0)
    smallest_kept = -np.sort(-found, axis=1)[:, k - 1 : k]
    codes = encode(autoencoder, signals()).toarray()
    np.testing.assert_allclose(codes, np.where(found >= smallest_kept, found, 0), atol=2e-6)
    assert (codes > 0).sum(axis=1).max() <= k


def test_topk_of_as_many_as_there_are_is_a_rectifier() -> None:
    everything = encode(an_autoencoder(k=24), signals())
    np.testing.assert_array_equal(
        everything.toarray(), encode(an_autoencoder(), signals()).toarray()
    )


def test_a_row_without_a_positive_activation_has_an_empty_code() -> None:
    codes = encode(an_autoencoder(k=3, threshold=1e6), signals(10))
    assert codes.shape == (10, 24)
    assert codes.nnz == 0
