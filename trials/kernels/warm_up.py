"""Compiles every kernel: `python -m trials.kernels.warm_up`. No module imports this one.

Without an argument it fills the cache for both types. `ensure_compiled` starts it with the name of
one type: that process calls each kernel once and so compiles it.
"""

import sys

import numpy as np

from trials.kernels.compiled.cache import ensure_compiled
from trials.kernels.dictionaries.greedy_learning import learn_greedy_dictionary
from trials.kernels.dictionaries.learning import learn_dictionary
from trials.kernels.sparse_coding import debiased_codes, lasso_codes, lasso_path
from trials.kernels.sparse_coding.exact import exact_codes
from trials.kernels.sparse_coding.omp import omp_codes


def call_every_kernel(dtype: str) -> None:
    """Call each compiled function once on a tiny problem."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((64, 8)).astype(dtype)
    atoms = learn_dictionary(rows, 12, l1_penalty=0.5, max_passes=3, rng=rng, n_threads=1).atoms
    codes = lasso_codes(rows, atoms, l1_penalty=0.5, n_threads=1).codes
    lasso_path(rows, atoms, l1_penalties=np.array([0.5, 0.4, 0.3]), n_threads=1)
    debiased_codes(rows, atoms, codes, n_threads=1)
    omp_codes(rows, atoms, n_nonzero=3, n_threads=1)
    learn_greedy_dictionary(rows, 12, mean_nonzero=3.0, max_passes=3, rng=rng, n_threads=1)
    exact_codes(rows, atoms, n_threads=1)


if __name__ == "__main__":
    if sys.argv[1:]:
        call_every_kernel(sys.argv[1])
    else:
        for name in ("float32", "float64"):
            ensure_compiled(np.dtype(name))
