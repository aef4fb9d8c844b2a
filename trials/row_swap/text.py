"""Which tokens are tried, how frequent they are, and the text on which their rows are measured.

A trial speaks only of tokens that it can measure. A token's frequency comes from the training side
or from another text; its damage is measured on the other two sides. Where fewer than half of the
tokens of a stratum occur on both of these, those that do are not typical of it. Such tokens are
left out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata
from tokenizers import Tokenizer

from trials.api import Table, TrialError
from trials.inputs.corpora import TokenisedCorpus
from trials.inputs.corpora.windows import Windows
from trials.inputs.frequencies import FrequencyTable, token_frequencies
from trials.row_swap.kind import OWN_TEXT, RowSwapConfig

LEAST_MEASURABLE = 0.5
"""Share of the tokens of a stratum that must occur on both measured sides."""
NO_STRATUM = -1


class Strata(NamedTuple):
    """Tokens by frequency. Tokens of equal frequency are in one stratum.

    Attributes:
        of_token: int64, (n_vocab,); the stratum, 0 the most frequent; `NO_STRATUM` for tokens of
            which the trial says nothing.
        measurable: bool, (n_vocab,); whether the token occurs on both measured sides.
        frequency: float64, (n_vocab,); sums to 1.
    """

    of_token: np.ndarray
    measurable: np.ndarray
    frequency: np.ndarray

    @property
    def covered(self) -> np.ndarray:
        """Whether a token has a stratum, bool (n_vocab,)."""
        covered: np.ndarray = self.of_token != NO_STRATUM
        return covered


def frequency_strata(frequency: np.ndarray, measurable: np.ndarray, n_strata: int) -> Strata:
    """Strata of about equal size by falling frequency, over as many tokens as can be spoken of.

    The rarest tokens are left out, one frequency after the other, until enough of every stratum is
    measurable. Tokens of frequency 0 never have one. Raises TrialError if that leaves none.
    """
    for least in np.unique(frequency[frequency > 0]):
        of_token = _tied_strata(frequency, float(least), n_strata)
        inside = of_token != NO_STRATUM
        size = np.bincount(of_token[inside])
        n_measurable = np.bincount(of_token[inside & measurable], minlength=len(size))
        if (n_measurable >= LEAST_MEASURABLE * size).all():
            return Strata(of_token, measurable, frequency)
    raise TrialError(
        "the tokens of every frequency mostly miss the validation or the held-out text: use more "
        "text, or raise validation_frac and held_out_frac"
    )


def _tied_strata(frequency: np.ndarray, least: float, n_strata: int) -> np.ndarray:
    """Strata of the tokens with at least this frequency.

    Equal frequencies share their mean rank, so a stratum never splits them: with many ties there
    are fewer strata than `n_strata`.
    """
    covered = frequency >= least
    ranks = rankdata(-frequency[covered], method="average") - 0.5
    places = np.floor(ranks * n_strata / covered.sum()).astype(np.int64)
    of_token = np.full(len(frequency), NO_STRATUM, np.int64)
    of_token[covered] = np.unique(places, return_inverse=True)[1]
    return of_token


def frequencies_of(config: RowSwapConfig, corpus: TokenisedCorpus) -> FrequencyTable:
    """The frequencies that strata are made of."""
    if config.frequencies == OWN_TEXT:
        n_tokens = int(corpus.counts.sum())
        name = f"counts over {n_tokens} tokens, the training side of {config.corpus}"
        return FrequencyTable(corpus.counts / n_tokens, name)
    return token_frequencies(
        config.frequencies,
        corpus.vocabulary.merge_rank,
        lambda: Tokenizer.from_file(str(corpus.tokenizer_path)),
    )


def strata_of(config: RowSwapConfig, corpus: TokenisedCorpus, frequency: np.ndarray) -> Strata:
    """The strata of the vocabulary of a corpus."""
    measurable = np.ones(corpus.n_vocab, bool)
    for stream in (corpus.validation, corpus.held_out):
        everything = _all_sequences(config, stream)
        for ids in (everything[:, :-1], everything[:, 1:]):
            measurable &= np.bincount(ids.ravel(), minlength=corpus.n_vocab) > 0
    return frequency_strata(frequency, measurable, config.n_strata)


def tried_tokens(config: RowSwapConfig, strata: Strata) -> np.ndarray:
    """Measurable tokens, drawn at random from each stratum; ids by stratum.

    Each seed draws its own tokens, so an interval over seeds covers the choice of tokens. A stratum
    with too few gives all it has.
    """
    rng = np.random.default_rng([17, config.seed])
    chosen = []
    for stratum in range(int(strata.of_token.max()) + 1):
        there = np.flatnonzero(strata.measurable & (strata.of_token == stratum))
        n = min(config.tokens_a_stratum, len(there))
        chosen.append(np.sort(rng.choice(there, n, replace=False)))
    return np.concatenate(chosen)


def strata_table(strata: Strata, tokens: np.ndarray, counts: np.ndarray) -> Table:
    """What each stratum drew from, and how many tokens have no stratum.

    The last two rows are the tokens of which the trial says nothing: those that are too rare to be
    measured, and those that do not occur on the training side, whose `counts` these are.
    """
    of_token = strata.of_token
    groups = {str(s): of_token == s for s in range(int(of_token.max()) + 1)}
    groups["too rare"] = ~strata.covered & (counts > 0)
    groups["absent"] = ~strata.covered & (counts == 0)
    per_million = 1e6 * strata.frequency
    table: dict[str, list[float | int | str]] = {"stratum": list(groups)}
    for name in _STRATA_COLUMNS:
        table[name] = []
    for inside in groups.values():
        rates = per_million[inside] if inside.any() else np.full(1, np.nan)
        row = (
            int(inside.sum()),
            int((inside & strata.measurable).sum()),
            int(inside[tokens].sum()),
            float(rates.min()),
            float(np.median(rates)),
            float(rates.max()),
            float(np.median(counts[inside])) if inside.any() else float("nan"),
        )
        for name, value in zip(_STRATA_COLUMNS, row, strict=True):
            table[name].append(value)
    return table


_STRATA_COLUMNS = (
    "n_tokens",
    "n_measurable",
    "n_tried",
    "per_million_low",
    "per_million_median",
    "per_million_high",
    "count_median",
)


class Exposure(NamedTuple):
    """The text of one side of the split.

    Attributes:
        tokens: ids of the tried tokens, by stratum, the most frequent stratum first.
        stratum: the stratum of each tried token.
        sequences: per token, int64 (n, context + 1), sequences that contain it.
        share: per token, sequences of the side that contain it / sequences of the side.
        base: int64, (n, context + 1), sequences evenly spaced over the side.
    """

    tokens: np.ndarray
    stratum: np.ndarray
    sequences: list[np.ndarray]
    share: np.ndarray
    base: np.ndarray


def exposure(
    config: RowSwapConfig, stream: np.ndarray, tokens: np.ndarray, strata: Strata
) -> Exposure:
    """The sequences of a stream on which the rows of these tokens are measured."""
    everything = _all_sequences(config, stream)
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
    return Exposure(tokens, strata.of_token[tokens], sequences, np.array(share), base)


def _all_sequences(config: RowSwapConfig, stream: np.ndarray) -> np.ndarray:
    windows = Windows(np.asarray(stream), config.context)
    return windows[np.arange(len(windows))]
