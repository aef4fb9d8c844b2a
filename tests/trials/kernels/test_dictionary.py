import numpy as np
import pytest

from trials.kernels.certificate import duality_gap
from trials.kernels.dictionary import learn_dictionary
from trials.kernels.sparse_coding import debiased_codes, lasso_codes


def planted(n_signals, n_atoms=256, d_model=64, sparsity=4, snr_db=20.0, seed=0):
    """Sparse Gaussian mixtures of random unit atoms, plus white noise."""
    rng = np.random.default_rng(seed)
    atoms = rng.standard_normal((n_atoms, d_model))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    codes = np.zeros((n_signals, n_atoms))
    for row in codes:
        chosen = rng.choice(n_atoms, sparsity, replace=False)
        row[chosen] = rng.choice([-1.0, 1.0], sparsity) * rng.uniform(0.5, 1.5, sparsity)
    clean = codes @ atoms
    noise = rng.standard_normal(clean.shape)
    noise *= np.linalg.norm(clean) / np.linalg.norm(noise) * 10 ** (-snr_db / 20)
    signals = clean + noise
    signals /= np.linalg.norm(signals, axis=1).mean()
    return signals.astype(np.float32), atoms.astype(np.float32)


def held_out_fvu(train, held_out, atoms, penalty):
    codes = lasso_codes(held_out, atoms, l1_penalty=penalty).codes
    residuals = held_out - debiased_codes(held_out, atoms, codes) @ atoms
    return (residuals**2).sum() / ((held_out - train.mean(axis=0)) ** 2).sum()


def test_planted_atoms_are_recovered_and_a_gaussian_of_the_same_spectrum_is_not_compressed():
    signals, truth = planted(5000)
    train, held_out = signals[:4000], signals[4000:]
    penalty = 0.1
    learned = learn_dictionary(
        train, 512, l1_penalty=penalty, rng=np.random.default_rng(0), max_passes=60
    )
    matches = abs(truth @ learned.atoms.T).max(axis=1)
    assert matches.mean() > 0.98
    assert held_out_fvu(train, held_out, learned.atoms, penalty) < 0.02

    rng = np.random.default_rng(1)
    factor = np.linalg.cholesky(np.cov(train.T))
    gaussian = (rng.standard_normal(signals.shape) @ factor.T).astype(np.float32)
    null = learn_dictionary(
        gaussian[:4000], 512, l1_penalty=penalty, rng=np.random.default_rng(0), max_passes=20
    )
    codes = lasso_codes(gaussian[4000:], null.atoms, l1_penalty=penalty).codes
    # At the sparsity of the planted code, a dictionary explains little of a Gaussian.
    dense = np.diff(codes.indptr).mean()
    matched = penalty * 2.2
    assert dense > 4
    assert held_out_fvu(gaussian[:4000], gaussian[4000:], null.atoms, matched) > 0.3
