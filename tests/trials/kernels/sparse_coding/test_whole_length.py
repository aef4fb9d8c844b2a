import math
import tracemalloc

import numpy as np
import pytest
from scipy.sparse import csr_array

from trials.kernels.sparse_coding import (
    best_atom_step,
    fvu,
    gaussian_model,
    gaussian_rate_bits,
    gaussian_whole_bits,
    omp_codes,
    token_errors,
    whole_length,
)

RNG = np.random.default_rng(0)
D = 16
EQUAL = np.ones(2000)
ROWS = RNG.standard_normal((2000, D)) * 0.8 ** np.arange(D)
MODEL = gaussian_model(ROWS, np.zeros(D), EQUAL)


def sparse_rows(n=2000, n_atoms=32, per_token=2):
    rng = np.random.default_rng(1)
    atoms = rng.standard_normal((n_atoms, D))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    dense = np.zeros((n, n_atoms))
    for row in dense:
        row[rng.choice(n_atoms, per_token, replace=False)] = rng.standard_normal(per_token)
    return dense @ atoms + 0.02 * rng.standard_normal((n, D)), csr_array(dense), atoms


def test_a_basis_that_is_spread_over_endless_tokens_costs_nothing():
    for error in (0.5, 0.1, 0.01):
        free = gaussian_rate_bits(MODEL.eigenvalues, error)
        assert gaussian_whole_bits(MODEL, error, 10**12) == pytest.approx(free, rel=1e-3)


def test_fewer_tokens_make_the_basis_dearer_and_never_cheaper_than_free():
    bits = [gaussian_whole_bits(MODEL, 0.1, n) for n in (10**6, 10**4, 10**3, 10**2)]
    assert (np.diff(bits) > 0).all()
    assert bits[0] > gaussian_rate_bits(MODEL.eigenvalues, 0.1)


def test_the_gaussian_length_can_be_reached():
    """An actual code of that many components, water level and precision leaves the error."""
    values, basis = np.linalg.eigh(ROWS.T @ ROWS / len(ROWS))
    step = 2.0**-2 / math.sqrt(D)
    rounded = step * np.rint(basis / step)
    n_sent, level = 6, 0.02
    kept = slice(D - n_sent, D)
    noise = np.random.default_rng(2).standard_normal((len(ROWS), n_sent))
    # The backward channel of a Gaussian: y = (1 - level / l) x + noise of variance level (1 - ...).
    shrink = 1 - level / values[kept]
    sent = ROWS @ basis[:, kept] * shrink + noise * np.sqrt(level * shrink)
    error = fvu(token_errors(ROWS, sent @ rounded[:, kept].T, np.zeros(D)), EQUAL)
    predicted = (
        n_sent * level + 2.0**-4 / 12 * (values[kept] - level).sum() + values[: D - n_sent].sum()
    ) / values.sum()
    assert error == pytest.approx(predicted, rel=0.05)
    index = int(np.flatnonzero(np.isclose(2.0 ** -np.arange(-1.0, 9.5, 0.5), 2.0**-2))[0])
    length = 0.5 * np.log2(values[kept] / level).sum() + n_sent * MODEL.direction_bits[index] / 2000
    assert gaussian_whole_bits(MODEL, predicted, 2000) <= length + 1e-9


def test_the_ends_of_the_gaussian_length():
    assert gaussian_whole_bits(MODEL, 1.0, 100) == 0
    assert gaussian_whole_bits(MODEL, 0.0, 100) == math.inf


def test_the_dictionary_of_sparse_rows_pays_for_itself_when_there_are_enough_tokens():
    rows, codes, atoms = sparse_rows()
    problem = (rows, codes, atoms, np.zeros(D), EQUAL)
    model = gaussian_model(rows, np.zeros(D), EQUAL)
    bits_of_codes = 2 * (4 + 4)
    whole = {}
    for n_tokens in (5, 10**6):
        step = best_atom_step(*problem, model=model, n_tokens=n_tokens)
        found = whole_length(*problem, model=model, n_tokens=n_tokens, atom_step=step)
        whole[n_tokens] = bits_of_codes + found.dictionary_bits - found.gaussian_bits
    assert whole[10**6] < 0 < whole[5]


def test_the_step_is_the_best_of_all_and_finer_where_tokens_share_the_dictionary():
    rows, codes, atoms = sparse_rows()
    problem = (rows, codes, atoms, np.zeros(D), EQUAL)
    model = gaussian_model(rows, np.zeros(D), EQUAL)

    def excess(step, n_tokens):
        found = whole_length(*problem, model=model, n_tokens=n_tokens, atom_step=step)
        return found.dictionary_bits - found.gaussian_bits

    few, many = (best_atom_step(*problem, model=model, n_tokens=n) for n in (200, 5000))
    assert many < few
    for n, best in ((200, few), (5000, many)):
        for factor in (0.25, 0.5, 2, 4):
            assert excess(best, n) <= excess(factor * best, n) + 1e-9


def test_no_sparse_code_of_gaussian_rows_beats_the_gaussian_with_its_basis():
    problem = (
        ROWS,
        *(omp_codes(ROWS, np.eye(D), n_nonzero=5).codes, np.eye(D)),
        np.zeros(D),
        EQUAL,
    )
    step = best_atom_step(*problem, model=MODEL, n_tokens=2000)
    found = whole_length(*problem, model=MODEL, n_tokens=2000, atom_step=step)
    support_bits = math.log2(math.comb(D, 5))
    assert support_bits + 5 * 3 + found.dictionary_bits > found.gaussian_bits


def test_the_model_of_some_rows_is_that_of_a_copy_of_them_and_copies_no_more():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((20_000, 64)).astype(np.float32)
    mean, tokens = rows.mean(axis=0).astype(np.float64), np.arange(0, 20_000, 2)
    weights = rng.uniform(0.1, 2, len(tokens))
    tracemalloc.start()
    found = gaussian_model(rows, mean, weights, tokens=tokens)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    copied = gaussian_model(rows[tokens], mean, weights)
    for one, other in zip(found, copied, strict=True):
        np.testing.assert_array_equal(one, other)
    assert peak < 2.5 * rows[tokens].nbytes
