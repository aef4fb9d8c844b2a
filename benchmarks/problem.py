"""The benchmark problem: centred and scaled rows, a fixed dictionary, a penalty for a target L0."""

from __future__ import annotations

import sys
from typing import NamedTuple

import numpy as np

from trials.api import TrialError
from trials.inputs.cache import cache_dir, replacing
from trials.inputs.preprocessing import preprocess
from trials.inputs.sources import open_source
from trials.kernels.dictionaries import learn_dictionary
from trials.kernels.sparse_coding import penalty

_RECIPE = 1  # of the cached dictionaries; raise it when `fixed_dictionary` changes
_LEARNING_PENALTY = 0.08  # about 20 atoms per token of SmolLM2, with rows of mean norm 1
_LEARNING_PASSES = 8
_PENALTY_TOKENS = 512


class Rows(NamedTuple):
    """The tokens of a source.

    Attributes:
        array: float32, (n_tokens, d_model), special tokens left out, centred, mean norm 1.
        digest: of the source.
    """

    array: np.ndarray
    digest: str

    def sample(self, n_tokens: int) -> np.ndarray:
        """At most `n_tokens` rows drawn without replacement, always the same ones."""
        n_tokens = min(n_tokens, len(self.array))
        return self.array[np.random.default_rng(0).permutation(len(self.array))[:n_tokens]]


def open_rows(uri: str) -> Rows:
    """The rows of a source; exits with one line when it cannot be opened."""
    try:
        matrix = open_source(uri)
        raw = matrix.rows[~matrix.special]
        every, weights = np.arange(len(raw)), np.ones(len(raw))
        seen = preprocess(raw, every, weights, centre="mean", scale="mean_norm")
    except TrialError as error:
        sys.exit(str(error))
    return Rows(seen.rows, matrix.digest)


def fixed_dictionary(rows: Rows, size: int, n_threads: int) -> np.ndarray:
    """Unit atoms, (size * d_model, d_model), from a few passes over all rows; learned once.

    Kept in the user's cache, so that later runs, also of later versions, solve the same problems.
    """
    path = cache_dir("benchmarks") / f"{rows.digest}-{size}x.v{_RECIPE}.npy"
    if not path.is_file():
        print(f"learning a {size}x dictionary, kept in {path}", file=sys.stderr)
        learned = learn_dictionary(
            rows.array,
            size * rows.array.shape[1],
            l1_penalty=_LEARNING_PENALTY,
            max_passes=_LEARNING_PASSES,
            rng=np.random.default_rng(size),
            n_threads=n_threads,
        )
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, learned.atoms)
    atoms: np.ndarray = np.load(path)
    return atoms


def penalty_for_l0(rows: Rows, atoms: np.ndarray, l0: float, n_threads: int) -> float:
    """The penalty at which codes of a sample have `l0` atoms per token on average, within 1 %."""
    sample = rows.sample(_PENALTY_TOKENS)
    return penalty.penalty_for_l0(
        sample, atoms, l0, relative_tolerance=0.01, tolerance=1e-4, n_threads=n_threads
    ).l1_penalty
