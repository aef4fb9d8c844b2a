import numpy as np
from scipy.sparse import random_array

from trials.kernels.compiled.dictionary_update import add_statistics


def test_statistics_summed_in_parts_are_those_of_dense_algebra():
    rng = np.random.default_rng(0)
    n_rows, n_atoms, n_parts = 1300, 40, 3  # more rows than are taken at once, some left over
    codes = random_array((n_rows, n_atoms), density=0.1, rng=rng, format="csr")
    dense = codes.toarray()
    dense[5] = dense[:, 7] = 0  # a row without atoms, an atom without rows
    codes = codes.__class__(dense)
    signals, weights = rng.standard_normal((n_rows, 12)), rng.uniform(0.1, 2.0, n_rows)
    usage, cross = np.zeros((n_atoms, n_atoms)), np.zeros((n_atoms, 12))
    entries = codes.indptr.astype(np.int64), codes.indices.astype(np.int32), codes.data
    for part in range(n_parts):
        add_statistics(*entries, weights, signals, part, n_parts, usage, cross)
    weighted = dense.T * weights
    np.testing.assert_allclose(usage, np.tril(weighted @ dense), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(cross, weighted @ signals, rtol=1e-12, atol=1e-12)
