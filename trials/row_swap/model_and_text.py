"""The subject of a trial: a trained model, its embedding rows, and the text to measure them on."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from trials.api import Context, TrialError
from trials.inputs.corpora import TokenisedCorpus, open_corpus
from trials.inputs.corpora.windows import Windows
from trials.inputs.models import LanguageModel, open_model
from trials.inputs.models.text import check_tokens
from trials.row_swap.kind import RowSwapConfig


class Subject(NamedTuple):
    """A model and its text. If only one side changes, each side has its own matrix."""

    opened: LanguageModel
    corpus: TokenisedCorpus


def open_subject(config: RowSwapConfig, context: Context) -> Subject:
    """Load both. Raises TrialError if the text is not in the tokens of the model."""
    fetch = context.fetch_artifact
    opened = open_model(config.model, fetch_artifact=fetch)
    corpus = open_corpus(config, n_threads=context.n_threads)
    check_tokens(opened, corpus, config, fetch_artifact=fetch)
    untie(opened, config.scope)
    return Subject(opened, corpus)


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


class NewRows(NamedTuple):
    """New rows of each token, (n_tokens, d_model); None for a side that does not change."""

    read: Tensor | None
    said: Tensor | None

    @classmethod
    def of_matrices(cls, rows: np.ndarray, scope: str) -> NewRows:
        """From (n_tokens, n_matrices, d_model), input side first; a tied matrix is both sides."""
        given = torch.from_numpy(rows)
        return cls(
            None if scope == "output" else given[:, 0], None if scope == "input" else given[:, -1]
        )

    def of(self, which: np.ndarray) -> NewRows:
        """The rows of some tokens, by position."""
        places = torch.from_numpy(np.asarray(which))
        return NewRows(*(None if rows is None else rows[places] for rows in self))


def untie(opened: LanguageModel, scope: str) -> None:
    """Give a tied model one matrix per side if only one side changes."""
    if scope != "both" and opened.tied:
        copied = opened.output_embedding.weight.detach().clone()
        opened.output_embedding.weight = nn.Parameter(copied)


def matrices(opened: LanguageModel, scope: str) -> list[nn.Parameter]:
    """The matrices whose rows change. A tied matrix is listed once."""
    sides: dict[str, list[Any]] = {
        "input": [opened.input_embedding.weight],
        "output": [opened.output_embedding.weight],
    }
    both = sides["input"] + sides["output"]
    chosen = sides.get(scope, both)
    return [weight for i, weight in enumerate(chosen) if all(weight is not w for w in chosen[:i])]


def write_rows(opened: LanguageModel, tokens: np.ndarray, new: NewRows) -> None:
    """Overwrite rows of the model in place."""
    rows = torch.from_numpy(np.asarray(tokens, dtype=np.int64))
    sides: tuple[Any, Any] = (opened.input_embedding.weight, opened.output_embedding.weight)
    with torch.no_grad():
        for weight, values in zip(sides, new, strict=True):
            if values is not None:
                weight[rows] = values


def rows_now(opened: LanguageModel, scope: str, tokens: np.ndarray) -> np.ndarray:
    """Rows of the tokens in each matrix, (n_tokens, n_matrices, d_model), a copy."""
    return np.stack([of.detach().cpu().numpy()[tokens] for of in matrices(opened, scope)], axis=1)
