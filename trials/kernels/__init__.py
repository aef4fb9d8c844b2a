"""Numerics: arrays in, arrays and certificates out. No configs, no logging.

    sparse_coding  codes of given signals over a given dictionary, each with its certificate
    dictionaries   learned, compared and random dictionaries; autoencoders
    structure      circles, loops, matrices, clusters, residuals: a score with its null
    statistics     p-values, intervals, gaps between arms, asymptotes
    compiled       the loops that numba compiles, and the cache of their machine code

    estimators     the coders and learners as scikit-learn estimators

    from trials.kernels import lasso_codes, learn_dictionary, omp_codes

The names that people want most are here, loaded at first use. All public names are gathered in
each room's `__init__`; a module with a leading underscore is private
to its room. All rooms share `threads`. `warm_up` compiles everything; nothing imports it.

A kernel takes arrays, then keyword-only scalars, and returns a NamedTuple. The first line of its
docstring says what it computes. Results do not depend on the number of threads. Those with a
`device` run compiled loops on "cpu", and torch on any other (`sparse_coding.device`).
"""

from typing import TYPE_CHECKING

from trials.lazy import lazy_names

if TYPE_CHECKING:
    from trials.kernels.dictionaries import learn_dictionary, learn_greedy_dictionary
    from trials.kernels.estimators import DictionaryLearning, SparseCoder
    from trials.kernels.sparse_coding import critical_penalties, lasso_codes, lasso_path, omp_codes

__all__ = [
    "DictionaryLearning",
    "SparseCoder",
    "critical_penalties",
    "lasso_codes",
    "lasso_path",
    "learn_dictionary",
    "learn_greedy_dictionary",
    "omp_codes",
]

__getattr__ = lazy_names(
    __name__,
    dict.fromkeys(("DictionaryLearning", "SparseCoder"), "trials.kernels.estimators")
    | dict.fromkeys(("learn_dictionary", "learn_greedy_dictionary"), "trials.kernels.dictionaries")
    | dict.fromkeys(
        ("critical_penalties", "lasso_codes", "lasso_path", "omp_codes"),
        "trials.kernels.sparse_coding",
    ),
)
