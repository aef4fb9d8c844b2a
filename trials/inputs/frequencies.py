"""Token frequencies: counted by the source or in a text, or of English words, or by Zipf's law."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trials.api import TrialError
from trials.inputs.corpora.local_text import (
    corpus_chunks,
    corpus_root,
    corpus_sha256,
)
from trials.inputs.corpora.uri import CorpusUri, parse_corpus
from trials.inputs.digests import file_sha256, text_digest
from trials.inputs.local_files import regular_file, user_path
from trials.inputs.messages import problem_of
from trials.inputs.sources.formats import npy_file
from trials.inputs.sources.loaded import NoTokenizer
from trials.inputs.token_counts import count_tokens, kept_numbers
from trials.inputs.word_frequencies import tokens_of_words, words_digest, words_name
from trials.lazy import lazy_module

if TYPE_CHECKING:
    from trials.inputs.corpora import hub_data
else:  # the hub's client takes a fifth of a second to import
    hub_data = lazy_module("trials.inputs.corpora.hub_data")

AUTO = "auto"
_HUB = "hub:OWNER/NAME[/CONFIG][@REVISION][#COLUMN][?n_tokens=N]"
FORMS = (AUTO, "words", "source", "counts:PATH.npy", "corpus:PATH", "stdlib:", _HUB, "zipf")
N_TOKENS = 10_000_000
"""Tokens of a data set that are counted, unless the form says how many."""

_FIXED = ("zipf", "source")
_N_TOKENS = re.compile(r"(hub:[^?]+)(?:\?n_tokens=([1-9]\d{0,11}))?")


class FrequencyTable(NamedTuple):
    """Relative frequencies of the tokens.

    Attributes:
        probabilities: float64, (n_vocab,); positive, sums to 1.
        name: where they come from, for the record.
    """

    probabilities: np.ndarray
    name: str


def check_form(spec: str) -> str:
    """`spec` if it has one of `FORMS`; ValueError otherwise."""
    scheme, colon, path = spec.partition(":")
    needs_path = scheme in ("counts", "corpus") and colon and path
    if spec in (AUTO, "words", "stdlib:", *_FIXED) or (
        needs_path and (scheme != "counts" or path[-4:] == ".npy")
    ):
        return spec
    if scheme == "hub":
        _data_set(spec)
        return spec
    raise ValueError(f"{spec!r} is no frequency table; allowed: {', '.join(FORMS)}")


def token_frequencies(
    spec: str,
    merge_rank: np.ndarray,
    load_tokenizer: Callable[[], Any],
    source_counts: np.ndarray | None = None,
) -> FrequencyTable:
    """The table that `spec` names, for a vocabulary of `len(merge_rank)` tokens.

    Counts are increased by one, so that a token that never occurs keeps a weight. "auto" is
    "source" where the source counted its tokens, else "words", and "zipf" for a source without a
    tokenizer.
    `load_tokenizer` gives a `tokenizers.Tokenizer`; it is called for words and texts only.
    `source_counts` are what the source of the matrix counted.
    Raises TrialError for a file that does not exist or does not fit the vocabulary, and for a
    source that counted nothing.
    """
    n_vocab = len(merge_rank)
    scheme, _, path = spec.partition(":")
    if spec == AUTO and source_counts is not None:
        spec = "source"
    if spec == AUTO:
        try:
            return _words(load_tokenizer(), merge_rank)
        except NoTokenizer:
            table = _zipf(merge_rank)
            return table._replace(name=f"{table.name}: the source has no tokenizer")
    if spec == "zipf":
        return _zipf(merge_rank)
    if spec == "words":
        return _words(load_tokenizer(), merge_rank)
    if spec == "source":
        if source_counts is None:
            raise TrialError(
                "frequencies 'source' needs a source that counted its tokens, such as "
                f"run:RUN_ID/step-001000 of kind pretrain; others allowed: {', '.join(FORMS)}"
            )
        return FrequencyTable(_normalised(source_counts + 1.0), "counts + 1 of the training text")
    if scheme == "counts":
        counts = _read_counts(user_path(path), n_vocab)
        return FrequencyTable(_normalised(counts + 1.0), f"counts of {Path(path).name} + 1")
    if scheme == "hub":
        name = _data_set(spec)[0].text
        counts = _data_set_counts(spec, load_tokenizer(), n_vocab)
    else:
        folder, name = corpus_root(spec)
        counts = count_tokens(corpus_chunks(folder), load_tokenizer(), n_vocab)
    return FrequencyTable(
        _normalised(counts + 1.0), f"counts + 1 over {int(counts.sum())} tokens of {name}"
    )


def frequency_digest(spec: str) -> str:
    """SHA-256 of what the table is made from ("" where the matrix itself is enough).

    Raises TrialError for a file or data set that does not exist.
    """
    if spec in _FIXED:
        return ""
    if spec in (AUTO, "words"):
        return words_digest()
    if spec.startswith("hub:"):
        uri, n_tokens = _data_set(spec)
        commit = hub_data.commit_of(uri)
        return text_digest("dataset", uri.repo, uri.config, commit, uri.column, str(n_tokens))
    if spec.startswith("counts:"):
        path = user_path(spec.removeprefix("counts:"))
        _counts_header(path)
        return file_sha256(path)
    return corpus_sha256(spec)


def effective_sample_size(weights: np.ndarray) -> float:
    """(sum w)^2 / sum w^2: the number of equally weighted tokens that would average as well."""
    return float(weights.sum() ** 2 / (weights**2).sum())


def _zipf(merge_rank: np.ndarray) -> FrequencyTable:
    n_vocab = len(merge_rank)
    rank = np.empty(n_vocab)
    rank[np.argsort(merge_rank, kind="stable")] = np.arange(1, n_vocab + 1)
    return FrequencyTable(_normalised(1 / rank), "Zipf, 1 / (1 + rank of the merge)")


def _words(tokenizer: Any, merge_rank: np.ndarray) -> FrequencyTable:
    ranks = hashlib.sha256(np.ascontiguousarray(merge_rank, np.int64).data).hexdigest()
    key = text_digest("words", words_digest(), tokenizer.to_str(), ranks)
    table = kept_numbers(key, lambda: tokens_of_words(tokenizer, merge_rank))
    return FrequencyTable(table, words_name())


def _data_set(spec: str) -> tuple[CorpusUri, int]:
    """The data set and how many of its tokens to count; ValueError if `spec` is no such form."""
    if (match := _N_TOKENS.fullmatch(spec)) is None:
        raise ValueError(f"{spec!r} is no frequency table; allowed: {', '.join(FORMS)}")
    try:
        uri = parse_corpus(match[1])
    except ValueError as error:
        raise ValueError(f"{spec!r} is no frequency table; allowed: {', '.join(FORMS)}") from error
    return uri, int(match[2] or N_TOKENS)


def _data_set_counts(spec: str, tokenizer: Any, n_vocab: int) -> np.ndarray:
    """Counts over the first tokens of a data set, streamed once for each tokenizer."""
    uri, n_tokens = _data_set(spec)
    key = text_digest("counts", frequency_digest(spec), tokenizer.to_str(), str(n_vocab))
    return kept_numbers(
        key, lambda: count_tokens(hub_data.stream_texts(uri), tokenizer, n_vocab, n_tokens)
    )


def _read_counts(path: Path, n_vocab: int) -> np.ndarray:
    header = _counts_header(path)
    if header.shape != (n_vocab,):
        raise TrialError(
            f"frequencies 'counts:{path}' has shape {header.shape}, one count for each of the "
            f"{n_vocab} tokens is needed"
        )
    counts = npy_file.read_array(path, header)
    if not np.isfinite(counts).all() or counts.min() < 0:
        raise TrialError(f"frequencies 'counts:{path}': counts must be finite and not negative")
    return counts.astype(np.float64)


def _counts_header(path: Path) -> npy_file.NpyHeader:
    try:
        regular_file(path)
        header = npy_file.read_header(path)
        if header.dtype.kind not in "iuf":
            raise TrialError(f"{path.name} holds {header.dtype}, not numbers")
    except TrialError as error:
        raise TrialError(f"frequencies 'counts:{path}': {error}") from error
    except OSError as error:
        raise TrialError(f"frequencies 'counts:{path}': {problem_of(error)}") from error
    return header


def _normalised(weights: np.ndarray) -> np.ndarray:
    return weights / weights.sum()
