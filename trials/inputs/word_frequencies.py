"""Frequencies of English words, carried over to the tokens of any tokenizer.

`wordfreq` (Speer, 2022) counts words without case in subtitles, news, books, encyclopedias and the
web. Here each word is written in the forms that prose has (after a space or not, lower case,
Capitalised, UPPER CASE), and each form gives its frequency to the tokens that it is cut into.
Punctuation, which the package does not count, has the rates of Cook (2013).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trials.inputs.digests import text_digest
from trials.lazy import lazy_module

if TYPE_CHECKING:
    import wordfreq
else:  # takes a tenth of a second to import, and most tables do not need it
    wordfreq = lazy_module("wordfreq")

_LAYOUT = "1"  # raise it when the same words give other frequencies
_BATCH = 20_000
_RARE = 1e-7
"""Words below this frequency are only cut after a space: that halves the time."""

_BY_RANK = 0.01
"""Share that goes by merge rank, so that tokens of no English word are ordered too."""

_CASE_PRIOR = (1.0, 0.1, 0.02)
"""Of lower case, Capitalised and UPPER CASE, before the tokenizer is asked."""

_RANK_POWER = 2

# Per word of prose. Sentence ends and opening quotes, hyphens and brackets follow from the marks.
_MARKS = {
    ".": 0.0593, ",": 0.0576, "?": 0.0036, "!": 0.0020, ";": 0.0032, ":": 0.0034, ')': 0.0020,
    ',"': 0.0040, '."': 0.0060, '?"': 0.0020, '!"': 0.0013, ' "': 0.0134, "-": 0.0153,
    " (": 0.0020, "\n": 0.0050, "\n\n": 0.0050,
}  # fmt: skip
"""Marks per word: Cook (2013), "Standard punctuation and the punctuation of the street", table of
full stops 65.3, commas 61.6, double quotes 26.7, hyphens 15.3, question marks 5.6, colons 3.4,
exclamation marks 3.3, semicolons 3.2 per 1000 words. Half of the quotes open, and the others follow
a mark. Brackets and line ends are our assumption."""

_AFTER_QUOTE_OR_LINE = _MARKS[' "'] + _MARKS["\n"] + _MARKS["\n\n"]
_AFTER_HYPHEN_OR_BRACKET = _MARKS["-"] + _MARKS[" ("]
_SENTENCES = sum(n for mark, n in _MARKS.items() if mark[0] in ".?!")
_AFTER_SENTENCE = _SENTENCES - _AFTER_QUOTE_OR_LINE
_WITHIN = 1 - _AFTER_SENTENCE - _AFTER_QUOTE_OR_LINE - _AFTER_HYPHEN_OR_BRACKET


class _Cut(NamedTuple):
    """Forms as token ids: those of form i are `ids[starts[i]:starts[i + 1]]`."""

    ids: np.ndarray
    starts: np.ndarray

    def lengths(self) -> np.ndarray:
        return np.diff(self.starts)


def words_digest() -> str:
    """Digest of the word frequencies and of how they are carried over."""
    return text_digest("words", _LAYOUT, version("wordfreq"))


def words_name() -> str:
    """What the table is, for the record."""
    return f"English word frequencies (wordfreq {version('wordfreq')}), carried over to tokens"


def tokens_of_words(tokenizer: Any, merge_rank: np.ndarray) -> np.ndarray:
    """Relative frequencies of the tokens, float64, (n_vocab,); positive, sums to 1.

    The frequency of a word is shared among its cases. A case is likelier if the tokenizer has it
    in fewer pieces or learned it earlier: " London" is one token, " london" is two.
    """
    words, frequency = english_words()
    counts = np.zeros(len(merge_rank))
    spaced = [_cut(tokenizer, "a", [f" {form}" for form in forms]) for forms in _forms(words)]
    share = _case_shares(words, spaced, merge_rank)
    lower, title, upper = share * frequency
    after_space = (
        lower * _WITHIN,
        title * _WITHIN + (lower + title) * _AFTER_SENTENCE,
        upper * (_WITHIN + _AFTER_SENTENCE),
    )
    for cut, weights in zip(spaced, after_space, strict=True):
        _add(counts, cut, weights)
    common = np.flatnonzero(frequency >= _RARE)
    bare = (
        lower * _AFTER_HYPHEN_OR_BRACKET,
        title * _AFTER_HYPHEN_OR_BRACKET + (lower + title) * _AFTER_QUOTE_OR_LINE,
        upper * (_AFTER_HYPHEN_OR_BRACKET + _AFTER_QUOTE_OR_LINE),
    )
    for before, forms, weights in zip(
        "-\n-", _forms([words[i] for i in common]), bare, strict=True
    ):
        _add(counts, _cut(tokenizer, before, forms), weights[common])
    _add(counts, _cut(tokenizer, "a", list(_MARKS)), np.array(list(_MARKS.values())))
    by_rank = 1 / (merge_rank + 1.0)
    return (1 - _BY_RANK) * counts / counts.sum() + _BY_RANK * by_rank / by_rank.sum()


@functools.cache
def english_words() -> tuple[list[str], np.ndarray]:
    """Words and numbers below 10,000, and their frequencies; these sum to 1.

    The package counts numbers by their number of digits and estimates each from that.
    """
    known = wordfreq.get_frequency_dict("en", wordlist="large")
    words = [word for word in known if len(word) == 1 or not any(c.isdigit() for c in word)]
    numbers = [str(number) for number in range(10, 10_000)]
    frequency = [known[word] for word in words]
    frequency += [wordfreq.word_frequency(number, "en") for number in numbers]
    return words + numbers, np.array(frequency) / sum(frequency)


def _forms(words: Sequence[str]) -> Iterator[list[str]]:
    yield list(words)
    yield [word[:1].upper() + word[1:] for word in words]
    yield [word.upper() for word in words]


def _case_shares(words: list[str], cuts: list[_Cut], merge_rank: np.ndarray) -> np.ndarray:
    """Share of each case of each word, (3, n_words): the prior over the squared rank of the form.

    The rank of a form is that of its token, or for several n_vocab times their number.
    """
    weights = np.empty((len(cuts), len(words)))
    for case, (cut, prior) in enumerate(zip(cuts, _CASE_PRIOR, strict=True)):
        n_pieces = cut.lengths()
        rank = len(merge_rank) * np.maximum(n_pieces, 1.0)
        single = np.flatnonzero(n_pieces == 1)
        rank[single] = merge_rank[cut.ids[cut.starts[single]]] + 1
        weights[case] = prior / rank**_RANK_POWER
    share = weights / weights.sum(axis=0)
    pronoun = [i for i, word in enumerate(words) if word == "i" or word.startswith("i'")]
    share[:, pronoun] = np.array([0, 1, 0])[:, None]
    return share


def _cut(tokenizer: Any, before: str, forms: Sequence[str]) -> _Cut:
    """Token ids of each form as they come after the text `before`."""
    ids: list[int] = []
    starts = [0]
    for first in range(0, len(forms), _BATCH):
        texts = [before + form for form in forms[first : first + _BATCH]]
        for encoding in tokenizer.encode_batch(texts, add_special_tokens=False):
            for token, (_, end) in zip(encoding.ids, encoding.offsets, strict=True):
                if end > len(before):
                    ids.append(token)
            starts.append(len(ids))
    return _Cut(np.array(ids, np.int64), np.array(starts))


def _add(counts: np.ndarray, cut: _Cut, weights: np.ndarray) -> None:
    """Add the weight of each form to each of its tokens; ids past the matrix are dropped."""
    inside = cut.ids < len(counts)
    each = np.repeat(weights, cut.lengths())
    counts += np.bincount(cut.ids[inside], each[inside], minlength=len(counts))
