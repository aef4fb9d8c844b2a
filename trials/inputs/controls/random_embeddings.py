"""Rows for an embedding that is never trained: random ones, or a learned matrix's rows permuted."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from trials.inputs.controls.null_rows import gaussian_spectrum, row_permuted
from trials.kernels.dictionaries import largest_cosine, random_rows

Distribution = Literal["normal", "sphere", "norm_matched", "spectrum_matched"]
"""normal: independent entries. sphere: random directions of one length. norm_matched: random
directions of the lengths of given rows. spectrum_matched: Gaussian with the mean and covariance of
given rows."""

Method = Literal["rejection", "repulsion"]

WITH_THRESHOLD = ("sphere", "norm_matched")
"""Distributions of directions, whose cosines can be kept under a threshold."""
LIKE_ROWS = ("norm_matched", "spectrum_matched")
"""Distributions that are matched to given rows."""


class RandomEmbedding(NamedTuple):
    """Rows, and how they were drawn.

    Attributes:
        rows: (n_vocab, d_model) float32.
        max_cosine: the largest |cosine| of two rows.
        n_rejections, expected_rejections: proposals that rejection sampling refused, and their
            expected number (0 where nothing is rejected).
    """

    rows: np.ndarray
    max_cosine: float
    n_rejections: int
    expected_rejections: float


def random_embedding(
    distribution: Distribution,
    n_vocab: int,
    d_model: int,
    *,
    row_norm: float,
    rng: np.random.Generator,
    max_cosine: float | None = None,
    method: Method = "rejection",
    like: np.ndarray | None = None,
    n_threads: int | None = None,
) -> RandomEmbedding:
    """Random rows.

    Args:
        row_norm: length of a row (sphere), or the root of its mean square (normal).
        max_cosine: no pair of rows has a larger |cosine| (`WITH_THRESHOLD` only).
        method: how the threshold is met; see `trials.kernels.dictionaries.random_rows`.
        like: rows to match, (n_vocab, d_model) (`LIKE_ROWS` only).

    Raises:
        ValueError: a threshold that cannot be reached, or that the distribution cannot have.
    """
    if distribution in LIKE_ROWS and (like is None or like.shape != (n_vocab, d_model)):
        raise ValueError(f"{distribution} rows are matched to {n_vocab} rows of {d_model} numbers")
    if max_cosine is not None and distribution not in WITH_THRESHOLD:
        raise ValueError(f"max_cosine is {max_cosine}; {distribution} rows have no threshold")
    if distribution in WITH_THRESHOLD:
        drawn = random_rows(
            n_vocab, d_model, max_cosine=max_cosine, rng=rng, method=method, n_threads=n_threads
        )
        norms = np.float32(row_norm) if like is None or distribution == "sphere" else _norms(like)
        found = drawn.max_cosine, drawn.n_rejections, drawn.expected_rejections
        return RandomEmbedding(drawn.rows * norms, *found)
    if distribution == "normal" or like is None:
        std = np.float32(row_norm / np.sqrt(d_model))
        rows = std * rng.standard_normal((n_vocab, d_model), dtype=np.float32)
    else:
        rows = gaussian_spectrum(like, np.ones(len(like)), rng)
    return RandomEmbedding(rows, largest_cosine(rows, n_threads=n_threads), 0, 0.0)


def permuted_embedding(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same rows given to other tokens."""
    return row_permuted(rows, (np.arange(len(rows)),), rng)


def _norms(rows: np.ndarray) -> np.ndarray:
    return np.linalg.norm(rows, axis=1, keepdims=True).astype(np.float32)
