"""Which tokens are tried, and the text on which their rows are measured."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trials.api import TrialError
from trials.inputs.corpora import TokenisedCorpus
from trials.inputs.corpora.windows import Windows
from trials.row_swap.kind import RowSwapConfig


class Exposure(NamedTuple):
    """The text of one side of the split.

    Attributes:
        tokens: ids of the tried tokens, by stratum, the most frequent stratum first.
        stratum: the stratum of each tried token.
        strata: the stratum of every token of the vocabulary.
        sequences: per token, int64 (n, context + 1), sequences that contain it.
        share: per token, sequences of the side that contain it / sequences of the side.
        base: int64, (n, context + 1), sequences evenly spaced over the side.
    """

    tokens: np.ndarray
    stratum: np.ndarray
    strata: np.ndarray
    sequences: list[np.ndarray]
    share: np.ndarray
    base: np.ndarray


def tried_tokens(config: RowSwapConfig, corpus: TokenisedCorpus) -> np.ndarray:
    """Tokens that occur on both sides, evenly by stratum, ids by stratum.

    They depend on the corpus and not on the seed, so that seeds are replicates on the same tokens.
    A stratum with too few such tokens gives all it has. Raises TrialError if there are none.
    """
    strata = frequency_strata(corpus.counts, config.n_strata)
    occurs = np.ones(len(strata), bool)
    for stream in (corpus.validation, corpus.held_out):
        everything = _all_sequences(config, stream)
        for ids in (everything[:, :-1], everything[:, 1:]):
            occurs &= np.bincount(ids.ravel(), minlength=len(strata)) > 0
    rng = np.random.default_rng(17)
    chosen = []
    for stratum in range(config.n_strata):
        there = np.flatnonzero(occurs & (strata == stratum))
        n = min(config.tokens_a_stratum, len(there))
        chosen.append(np.sort(rng.choice(there, n, replace=False)))
    if not (tokens := np.concatenate(chosen)).size:
        raise TrialError("no token occurs on both sides: use more text")
    return tokens


def exposure(
    config: RowSwapConfig, corpus: TokenisedCorpus, stream: np.ndarray, tokens: np.ndarray
) -> Exposure:
    """The sequences of a stream on which the rows of these tokens are measured."""
    everything = _all_sequences(config, stream)
    strata = frequency_strata(corpus.counts, config.n_strata)
    inside = everything[:, :-1]
    rng = np.random.default_rng(18)
    sequences, share = [], []
    for token in tokens:
        where = np.flatnonzero((inside == token).any(axis=1))
        share.append(len(where) / len(everything))
        some = rng.permutation(where)[: config.sequences_a_token]
        sequences.append(everything[np.sort(some)])
    evenly = np.arange(config.base_sequences) * len(everything) // config.base_sequences
    base = everything[np.unique(evenly)]
    return Exposure(tokens, strata[tokens], strata, sequences, np.array(share), base)


def frequency_strata(counts: np.ndarray, n_strata: int) -> np.ndarray:
    """The stratum of every token by falling count. Strata are equal in size; 0 is the top one."""
    strata = np.empty(len(counts), np.int64)
    order = np.argsort(-counts, kind="stable")
    strata[order] = np.arange(len(order)) * n_strata // len(order)
    return strata


def _all_sequences(config: RowSwapConfig, stream: np.ndarray) -> np.ndarray:
    windows = Windows(np.asarray(stream), config.context)
    return windows[np.arange(len(windows))]
