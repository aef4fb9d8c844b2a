"""Text in pieces, each small enough to go whole to one side of a split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from trials.inputs.corpora.local_text import corpus_chunks, corpus_files, corpus_root
from trials.inputs.corpora.uri import CorpusUri
from trials.lazy import lazy_module

if TYPE_CHECKING:
    from trials.inputs.corpora import hub_data
else:  # the hub's client takes a fifth of a second to import
    hub_data = lazy_module("trials.inputs.corpora.hub_data")

_PIECE_CHARACTERS = 1 << 14


class Piece(NamedTuple):
    """Some whole lines of a document.

    Attributes:
        n_bytes: of the text in UTF-8.
        begins: whether a document begins with it.
    """

    text: str
    n_bytes: int
    begins: bool


def read_pieces(uri: CorpusUri, max_bytes: int | None = None) -> Iterator[Piece]:
    """The corpus in order, up to the first piece that ends at or after `max_bytes`.

    A document is a file, or a row of a data set on the hub; empty ones are skipped. Raises
    TrialError for a corpus that does not exist.
    """
    n_bytes = 0
    for piece in _all_pieces(uri):
        yield piece
        n_bytes += piece.n_bytes
        if max_bytes is not None and n_bytes >= max_bytes:
            return


def cut(chunks: Iterable[str]) -> Iterator[Piece]:
    """One document, given in chunks of whole lines, in pieces of about 16,000 characters."""
    begins = True
    for chunk in chunks:
        lines: list[str] = []
        n_characters = 0
        for line in chunk.splitlines(keepends=True):
            lines.append(line)
            n_characters += len(line)
            if n_characters >= _PIECE_CHARACTERS:
                yield _piece(lines, begins)
                lines, n_characters, begins = [], 0, False
        if lines:
            yield _piece(lines, begins)
            begins = False


def _piece(lines: list[str], begins: bool) -> Piece:
    text = "".join(lines)
    return Piece(text, len(text.encode("utf-8", "replace")), begins)


def _all_pieces(uri: CorpusUri) -> Iterator[Piece]:
    if uri.repo:
        for text in hub_data.stream_texts(uri):
            yield from cut([text])
    else:
        root, _ = corpus_root(uri.text)
        for file in corpus_files(root):
            yield from cut(corpus_chunks(file))
