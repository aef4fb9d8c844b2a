import numpy as np
import pytest

from tests.trials.kernels.dictionaries.test_learning import planted, unit_rows
from trials.kernels.dictionaries import learn_dictionary, learn_greedy_dictionary, mean_max_cosine
from trials.kernels.sparse_coding.omp import omp_codes_with_mean


def learn(signals, n_atoms, **arguments):
    given = {"mean_nonzero": 4.0, "rng": np.random.default_rng(0), "n_threads": 1} | arguments
    return learn_greedy_dictionary(signals, n_atoms, **given)


def held_out_error(signals, atoms, mean=4.0):
    found = omp_codes_with_mean(signals, atoms, mean_nonzero=mean, n_threads=1)
    return found.error.sum() / (signals.astype(float) ** 2).sum()


def test_planted_atoms_are_recovered_from_a_cold_start():
    signals, truth = planted(2500, n_atoms=128)
    learned = learn(signals[:2000], 128)
    assert mean_max_cosine(learned.atoms, truth) > 0.95
    assert held_out_error(signals[2000:], learned.atoms) < 0.08


def test_greedy_codes_are_served_better_than_by_a_dictionary_that_is_learned_for_the_lasso():
    signals, _ = planted(2500, n_atoms=128, snr_db=10.0)
    train, held_out = signals[:2000], signals[2000:]
    lasso = learn_dictionary(train, 128, l1_penalty=0.3, rng=np.random.default_rng(0), n_threads=1)
    greedy = learn(train, 128, warm_start=lasso.atoms)
    assert held_out_error(held_out, greedy.atoms) < held_out_error(held_out, lasso.atoms)
    assert greedy.converged


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_objective_never_rises_and_is_that_of_the_returned_codes(dtype):
    signals, _ = planted(700)
    signals = signals.astype(dtype)
    weights = np.random.default_rng(3).uniform(0.1, 3, len(signals))
    learned = learn(signals, 80, weights=weights, tolerance=1e-9)
    assert (np.diff(learned.objective) <= 0).all()
    assert learned.objective[-1] < 0.7 * learned.objective[0]
    residuals = signals - learned.codes @ learned.atoms
    each = (residuals.astype(float) ** 2).sum(axis=1)
    assert learned.objective[-1] == pytest.approx(np.average(each, weights=weights), rel=1e-5)
    n_used = np.diff(learned.codes.indptr)
    assert np.average(n_used, weights=weights) == pytest.approx(4, abs=0.01)
    np.testing.assert_allclose(np.linalg.norm(learned.atoms, axis=1), 1, rtol=1e-5)


def test_learning_that_gets_worse_returns_the_best_dictionary_so_far():
    signals, _ = planted(300)
    learned = learn(signals, 80, mean_nonzero=1.0, tolerance=1e-12, max_passes=200)
    assert learned.converged
    again = omp_codes_with_mean(signals, learned.atoms, mean_nonzero=1.0, n_threads=1)
    assert again.error.mean() == pytest.approx(learned.objective.min(), rel=1e-6)


def test_one_atom_is_the_best_single_direction():
    rng = np.random.default_rng(0)
    direction = unit_rows(1, 16)[0]
    signals = rng.standard_normal((300, 1)) * direction + 0.05 * rng.standard_normal((300, 16))
    learned = learn(signals, 1, mean_nonzero=1.0, tolerance=1e-9)
    _, _, right = np.linalg.svd(signals, full_matrices=False)
    assert abs(learned.atoms[0] @ right[0]) > 0.9999


def test_rows_of_weight_zero_do_not_shape_the_atoms():
    signals = unit_rows(80, 12)
    arguments = {"mean_nonzero": 2.0, "max_passes": 5, "warm_start": unit_rows(16, 12, seed=2)}
    both = learn(signals, 16, weights=np.repeat([1.0, 0.0], 40), **arguments)
    half = learn(signals[:40], 16, **arguments)
    np.testing.assert_allclose(both.objective, half.objective, rtol=1e-3)


def test_unused_atoms_are_drawn_again_and_copy_no_row():
    signals, _ = planted(700)
    signals[:, 0] = 0
    start = unit_rows(80, 64)
    start[40:] = np.eye(64)[0]  # orthogonal to every signal: never used
    learned = learn(signals, 80, warm_start=start)
    assert learned.n_reseeded >= 35
    assert (np.bincount(learned.codes.indices, minlength=80) > 0).sum() > 60
    unit = signals / np.linalg.norm(signals, axis=1, keepdims=True)
    assert np.quantile(abs(learned.atoms @ unit.T).max(axis=1), 0.9) < 0.99


@pytest.mark.parametrize("signals", [np.zeros((30, 8)), np.ones((30, 8)), unit_rows(3, 8)])
def test_degenerate_rows_give_finite_atoms(signals):
    learned = learn(signals, 12, mean_nonzero=2.0, max_passes=5)
    assert np.isfinite(learned.atoms).all()
    np.testing.assert_allclose(np.linalg.norm(learned.atoms, axis=1), 1)
    assert np.isfinite(learned.objective).all()


def test_the_dictionary_is_the_same_bits_for_any_number_of_threads_and_depends_on_the_seed():
    signals, _ = planted(1500)
    runs = [learn(signals, 100, max_passes=3, n_threads=n) for n in (1, 2, 3)]
    for run in runs[1:]:
        np.testing.assert_array_equal(run.atoms, runs[0].atoms)
        np.testing.assert_array_equal(run.codes.data, runs[0].codes.data)
    other = learn(signals, 100, max_passes=3, rng=np.random.default_rng(1))
    assert not np.array_equal(other.atoms, runs[0].atoms)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_atoms": 0}, "n_atoms is 0"),
        ({"max_passes": 0}, "max_passes 0"),
        ({"tolerance": 0.0}, "tolerance 0.0"),
        ({"mean_nonzero": 9.0}, "mean_nonzero is 9.0"),
        ({"weights": np.ones(3)}, "weights must be"),
        ({"warm_start": np.ones((3, 12))}, r"warm_start has shape \(3, 12\)"),
        ({"signals": np.full((60, 12), np.nan)}, "signals holds NaN"),
    ],
)
def test_bad_input_is_refused_with_what_is_wrong(change, message):
    arguments = {"signals": unit_rows(60, 12), "n_atoms": 8, "mean_nonzero": 2.0} | change
    with pytest.raises(ValueError, match=message):
        learn_greedy_dictionary(**arguments, rng=np.random.default_rng(0))
