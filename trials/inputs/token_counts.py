"""Counts of tokens in texts, kept once made, and how far a table of frequencies is from them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from trials.inputs.cache import keep_text, kept_text, locked
from trials.inputs.corpora.local_text import library_prose
from trials.inputs.corpora.tokenizers import parallel_tokenizers
from trials.inputs.digests import text_digest
from trials.inputs.sources.loaded import NoTokenizer
from trials.lazy import lazy_module

if TYPE_CHECKING:
    from scipy import stats
else:  # takes a while to import
    stats = lazy_module("scipy.stats")


def count_tokens(
    chunks: Iterable[str], tokenizer: Any, n_vocab: int, n_tokens: float = np.inf
) -> np.ndarray:
    """Occurrences of each token id in the first `n_tokens` of the text, float64 (n_vocab,).

    Ids past the matrix are dropped.
    """
    counts = np.zeros(n_vocab)
    left = n_tokens
    for chunk in chunks:
        ids = np.asarray(tokenizer.encode(chunk, add_special_tokens=False).ids, dtype=np.int64)
        ids = ids[: int(min(left, len(ids)))]
        counts += np.bincount(ids[ids < n_vocab], minlength=n_vocab)
        left -= len(ids)
        if left <= 0:
            break
    return counts


def kept_numbers(key: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """Numbers from the cache; the first process to ask makes them, and others wait."""

    def found() -> np.ndarray | None:
        if (text := kept_text("frequencies", key)) is None:
            return None
        return np.array(text.split(), float)

    if (numbers := found()) is None:
        with locked(key), parallel_tokenizers(1):
            if (numbers := found()) is None:
                numbers = make()
                keep_text("frequencies", key, " ".join(map(repr, numbers.tolist())))
    return numbers


def distance_from_counts(
    probabilities: np.ndarray, counts: np.ndarray, among: np.ndarray
) -> tuple[float, float]:
    """Spearman's correlation with `counts` and the total variation, of the tokens `among`.

    Both are over all of these tokens, whether they occur or not. Total variation is half of the sum
    of absolute differences: the share of the weight that is on the wrong tokens.
    """
    mine, theirs = (x[among] / x[among].sum() for x in (probabilities, counts))
    return float(stats.spearmanr(mine, theirs)[0]), float(np.abs(mine - theirs).sum() / 2)


def described_distance(
    probabilities: np.ndarray,
    among: np.ndarray,
    load_tokenizer: Callable[[], Any],
    source_counts: np.ndarray | None = None,
) -> str:
    """How far a table is from counts, in words, for the record.

    The counts are those of the source where it has some, else of the docstrings of Python's library
    (technical English, a domain of its own).
    """
    if source_counts is not None and source_counts.any():
        counts, text = source_counts.astype(float), "the training text of the matrix"
    else:
        try:
            counts = _reference_counts(load_tokenizer(), len(probabilities))
        except NoTokenizer:
            return "not compared with counts: the source has no tokenizer"
        text = "docstrings of Python's library (technical English)"
    spearman, variation = distance_from_counts(probabilities, counts, among)
    return (
        f"Spearman {spearman:.2f}, total variation {variation:.2f} from counts over "
        f"{int(counts.sum())} tokens of {text}"
    )


def _reference_counts(tokenizer: Any, n_vocab: int) -> np.ndarray:
    key = text_digest("prose", sys.version, tokenizer.to_str(), str(n_vocab))
    return kept_numbers(key, lambda: count_tokens(library_prose(), tokenizer, n_vocab))
