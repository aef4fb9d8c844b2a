import tracemalloc

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

from tests.trials.kernels.devices import DEVICES, run_on
from trials.kernels.dictionaries._statistics import mixed_residuals, mixtures
from trials.kernels.dictionaries.learning import learn_dictionary
from trials.kernels.sparse_coding.certificate import duality_gap
from trials.kernels.sparse_coding.lasso import debiased_codes, lasso_codes


@pytest.fixture(autouse=True, params=DEVICES)
def device(request, monkeypatch):
    """One contract for the compiled loops and for torch."""
    run_on(request.param, globals(), monkeypatch, "learn_dictionary")


COMPILED_ONLY = pytest.mark.parametrize("device", ["cpu"], indirect=True)
"""Torch on a CPU would take ten times as long; `test_device_learning` has smaller versions."""


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
    """Debiased fraction of variance unexplained, and atoms a signal."""
    codes = lasso_codes(held_out, atoms, l1_penalty=penalty).codes
    residuals = held_out - debiased_codes(held_out, atoms, codes) @ atoms
    fvu = (residuals**2).sum() / ((held_out - train.mean(axis=0)) ** 2).sum()
    return fvu, codes.nnz / len(held_out)


def gaussian_like(signals, seed=1):
    rng = np.random.default_rng(seed)
    factor = np.linalg.cholesky(np.cov(signals.T))
    return (rng.standard_normal(signals.shape) @ factor.T).astype(np.float32)


def unit_rows(n_rows, d_model, seed=0):
    rows = np.random.default_rng(seed).standard_normal((n_rows, d_model))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@COMPILED_ONLY
def test_planted_atoms_are_recovered_and_a_gaussian_of_the_same_covariance_is_not_compressed():
    signals, truth = planted(5000)
    train, held_out = signals[:4000], signals[4000:]
    learned = learn_dictionary(train, 512, l1_penalty=0.1, rng=np.random.default_rng(0))
    assert abs(truth @ learned.atoms.T).max(axis=1).mean() > 0.98
    fvu, l0 = held_out_fvu(train, held_out, learned.atoms, 0.1)
    assert fvu < 0.02

    train, held_out = np.split(gaussian_like(signals), [4000])
    null = learn_dictionary(train, 512, l1_penalty=0.2, rng=np.random.default_rng(0))
    null_fvu, null_l0 = held_out_fvu(train, held_out, null.atoms, 0.29)
    assert null_l0 > l0, "the null must have at least as many atoms a signal"
    assert null_fvu > 0.3


def test_the_objective_is_that_of_the_returned_atoms_and_codes():
    signals, _ = planted(700)
    weights = np.random.default_rng(3).uniform(0.1, 3, len(signals))
    learned = learn_dictionary(
        signals, 80, l1_penalty=0.2, weights=weights, rng=np.random.default_rng(0)
    )
    residuals = signals - learned.codes @ learned.atoms
    each = 0.5 * (residuals**2).sum(axis=1) + 0.2 * abs(learned.codes).sum(axis=1)
    assert learned.objective[-1] == pytest.approx(np.average(each, weights=weights), rel=1e-5)
    assert len(learned.objective) == learned.n_passes
    gap = duality_gap(signals, learned.atoms, learned.codes, l1_penalty=0.2)
    assert gap.max() < 1e-3
    np.testing.assert_allclose(np.linalg.norm(learned.atoms, axis=1), 1, rtol=1e-5)


def test_learning_lowers_the_objective_until_it_settles():
    signals, _ = planted(700)
    learned = learn_dictionary(
        signals, 80, l1_penalty=0.2, tolerance=1e-4, max_passes=300, rng=np.random.default_rng(0)
    )
    assert learned.converged
    assert learned.objective[-1] < 0.9 * learned.objective[0]
    assert learned.objective[-1] == pytest.approx(learned.objective.min(), rel=1e-3)
    one = learn_dictionary(signals, 80, l1_penalty=0.2, max_passes=1, rng=np.random.default_rng(0))
    assert not one.converged
    assert one.n_passes == 1


def test_two_passes_learn_from_part_of_the_rows_and_code_all_of_them():
    signals, _ = planted(2000)
    one, two = (
        learn_dictionary(signals, 80, l1_penalty=0.2, max_passes=n, rng=np.random.default_rng(0))
        for n in (1, 2)
    )
    assert two.n_passes == 2
    assert two.codes.shape == (2000, 80)
    residuals = signals - two.codes @ two.atoms
    each = 0.5 * (residuals**2).sum(axis=1) + 0.2 * abs(two.codes).sum(axis=1)
    assert two.objective[-1] == pytest.approx(each.mean(), rel=1e-5)
    assert two.objective[-1] < 0.95 * one.objective[-1]


@COMPILED_ONLY
def test_a_learned_dictionary_is_a_fixed_point_of_learning():
    signals, _ = planted(700)
    arguments = {"l1_penalty": 0.2, "tolerance": 1e-5, "max_passes": 500}
    learned = learn_dictionary(signals, 80, rng=np.random.default_rng(0), **arguments)
    again = learn_dictionary(
        signals, 80, rng=np.random.default_rng(1), warm_start=learned.atoms, **arguments
    )
    assert again.n_passes < learned.n_passes / 4
    assert again.objective[-1] == pytest.approx(learned.objective[-1], rel=1e-4)


def test_one_atom_is_the_best_single_direction():
    rng = np.random.default_rng(0)
    direction = unit_rows(1, 16)[0]
    signals = rng.standard_normal((300, 1)) * direction + 0.05 * rng.standard_normal((300, 16))
    learned = learn_dictionary(signals, 1, l1_penalty=1e-3, tolerance=1e-8, rng=rng)
    _, _, right = np.linalg.svd(signals, full_matrices=False)
    assert abs(learned.atoms[0] @ right[0]) > 0.9999


def test_a_weight_counts_like_that_many_copies_of_the_row():
    signals = unit_rows(60, 12)
    copies = np.random.default_rng(1).integers(1, 5, len(signals))
    start = unit_rows(20, 12, seed=2)
    arguments = {"l1_penalty": 0.2, "tolerance": 1e-9, "gap_tolerance": 1e-9, "max_passes": 12}
    weighted = learn_dictionary(
        signals,
        20,
        weights=copies.astype(float),
        warm_start=start,
        rng=np.random.default_rng(0),
        **arguments,
    )
    replicated = learn_dictionary(
        np.repeat(signals, copies, axis=0),
        20,
        warm_start=start,
        rng=np.random.default_rng(0),
        **arguments,
    )
    np.testing.assert_allclose(weighted.atoms, replicated.atoms, atol=1e-4)
    np.testing.assert_allclose(weighted.objective, replicated.objective, rtol=1e-6)


def test_rows_of_weight_zero_do_not_shape_the_atoms():
    signals = unit_rows(80, 12)
    weights = np.repeat([1.0, 0.0], 40)
    start = unit_rows(16, 12, seed=2)
    arguments = {"l1_penalty": 0.2, "max_passes": 5, "warm_start": start}
    both = learn_dictionary(signals, 16, weights=weights, rng=np.random.default_rng(0), **arguments)
    half = learn_dictionary(signals[:40], 16, rng=np.random.default_rng(0), **arguments)
    np.testing.assert_allclose(both.objective, half.objective, rtol=1e-3)


def test_dead_atoms_are_seeded_anew_and_counted_and_copy_no_row():
    signals, _ = planted(700)
    signals[:, 0] = 0
    start = unit_rows(80, 64)
    start[40:] = np.eye(64)[0]  # orthogonal to every signal: never used
    learned = learn_dictionary(
        signals, 80, l1_penalty=0.2, warm_start=start, rng=np.random.default_rng(0)
    )
    assert learned.n_reseeded >= 40
    used = np.bincount(learned.codes.indices, minlength=80) > 0
    assert used.sum() > 60
    unit = signals / np.linalg.norm(signals, axis=1, keepdims=True)
    assert np.quantile(abs(learned.atoms @ unit.T).max(axis=1), 0.9) < 0.99


def test_nonnegative_codes_are_learned_too():
    signals, _ = planted(400)
    learned = learn_dictionary(
        signals, 64, l1_penalty=0.2, nonnegative=True, rng=np.random.default_rng(0)
    )
    assert learned.codes.nnz
    assert learned.codes.data.min() > 0


def test_the_dictionary_is_the_same_bits_for_any_number_of_threads():
    signals, _ = planted(1500)
    runs = [
        learn_dictionary(
            signals,
            100,
            l1_penalty=0.2,
            max_passes=4,
            rng=np.random.default_rng(0),
            n_threads=n_threads,
        )
        for n_threads in (1, 2, 3)
    ]
    for run in runs[1:]:
        np.testing.assert_array_equal(run.atoms, runs[0].atoms)
        np.testing.assert_array_equal(run.objective, runs[0].objective)
        np.testing.assert_array_equal(run.codes.data, runs[0].codes.data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_atoms": 0}, "n_atoms is 0"),
        ({"max_passes": 0}, "max_passes 0"),
        ({"tolerance": 0.0}, "tolerance is 0.0"),
        ({"gap_tolerance": -1.0}, "gap_tolerance -1.0"),
        ({"l1_penalty": 0.0}, "l1_penalty is 0.0"),
        ({"weights": np.ones(3)}, r"weights has shape \(3,\)"),
        ({"weights": -np.ones(60)}, "weights must be finite, not negative"),
        ({"weights": np.zeros(60)}, "weights must be finite, not negative"),
        ({"warm_start": np.ones((3, 12))}, r"warm_start has shape \(3, 12\)"),
        ({"signals": np.full((60, 12), np.nan)}, "signals holds NaN"),
    ],
)
def test_bad_input_is_refused_with_what_is_wrong(change, message):
    arguments = {"signals": unit_rows(60, 12), "n_atoms": 8, "l1_penalty": 0.2} | change
    with pytest.raises(ValueError, match=message):
        learn_dictionary(**arguments, rng=np.random.default_rng(0))


def test_the_objective_that_learning_stops_at_is_certified():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((400, 16))
    learned = learn_dictionary(rows, 24, l1_penalty=0.6, rng=rng, gap_tolerance=1e-4)
    assert learned.converged
    again = duality_gap(rows, learned.atoms, learned.codes, l1_penalty=0.6)
    assert learned.gap == pytest.approx(again.max(), abs=1e-12)
    assert 0 < learned.gap <= 1e-4
    residuals = rows - learned.codes @ learned.atoms
    objective = 0.5 * (residuals**2).sum(axis=1) + 0.6 * abs(learned.codes).sum(axis=1)
    assert learned.objective[-1] == pytest.approx(objective.mean(), rel=1e-9)
    rng = np.random.default_rng(0)
    assert np.isnan(learn_dictionary(rows, 24, l1_penalty=0.6, rng=rng, max_passes=2).gap)


@COMPILED_ONLY
def test_restarts_of_unused_atoms_hold_the_residuals_of_a_block_of_rows_only():
    signals, truth = planted(20_000, n_atoms=64, d_model=128)
    codes = csr_array(random_array((20_000, 64), density=0.05, rng=np.random.default_rng(0)))
    weights = np.random.default_rng(1).uniform(0.1, 2, len(signals))
    codes = codes.astype(np.float32)
    tracemalloc.start()
    found = mixed_residuals(signals, weights, codes, truth, 5, np.random.default_rng(2))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.7 * signals.nbytes
    residuals = signals - codes @ truth
    badness = weights * np.einsum("ij,ij->i", residuals, residuals, dtype=np.float64)
    np.testing.assert_array_equal(found, mixtures(residuals, badness, 5, np.random.default_rng(2)))
