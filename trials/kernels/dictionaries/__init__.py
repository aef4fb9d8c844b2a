"""Dictionaries: learned, compared, described, and random ones.

`learning` alternates exact LASSO codes and exact updates of the atoms, `greedy_learning` codes of
orthogonal matching pursuit and the same updates; both on compiled loops, or in torch on a device.
`sharpening` fits learned atoms to the error of
rounding. `matching` says which atoms two dictionaries share, `summary` how coherent and how used
they are. `autoencoder` codes with one matrix product; its training needs torch, so import it from
`autoencoder_training`.
"""

from trials.kernels.dictionaries.autoencoder import Architecture, Autoencoder, Sparsity, encode
from trials.kernels.dictionaries.greedy_learning import (
    GreedyDictionary,
    learn_greedy_dictionary,
)
from trials.kernels.dictionaries.learning import LearnedDictionary, learn_dictionary
from trials.kernels.dictionaries.matching import Matching, Nearest, match_dictionaries
from trials.kernels.dictionaries.random_rows import (
    RandomRows,
    check_threshold,
    cosine_tail,
    expected_rejections,
    largest_cosine,
    random_rows,
    threshold_with,
    welch_bound,
)
from trials.kernels.dictionaries.sharpening import (
    Sharpened,
    WithinError,
    codes_within,
    sharpen_dictionary,
)
from trials.kernels.dictionaries.summary import (
    COPY_COSINE,
    RARE_TOKENS,
    AtomUse,
    atom_use,
    coherences,
    largest_cosines,
    mean_max_cosine,
)

__all__ = [
    "COPY_COSINE",
    "RARE_TOKENS",
    "Architecture",
    "AtomUse",
    "Autoencoder",
    "GreedyDictionary",
    "LearnedDictionary",
    "Matching",
    "Nearest",
    "RandomRows",
    "Sharpened",
    "Sparsity",
    "WithinError",
    "atom_use",
    "check_threshold",
    "codes_within",
    "coherences",
    "cosine_tail",
    "encode",
    "expected_rejections",
    "largest_cosine",
    "largest_cosines",
    "learn_dictionary",
    "learn_greedy_dictionary",
    "match_dictionaries",
    "mean_max_cosine",
    "random_rows",
    "sharpen_dictionary",
    "threshold_with",
    "welch_bound",
]
