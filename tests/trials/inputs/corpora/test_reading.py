from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from trials.api import TrialError
from trials.inputs.corpora.reading import cut, read_pieces
from trials.inputs.corpora.uri import CorpusUri, parse_corpus


def corpus(path: Path) -> CorpusUri:
    return parse_corpus(f"corpus:{path}")


def test_pieces_are_whole_lines_and_together_the_text(write_text: Callable[..., Path]) -> None:
    path = write_text(n_lines=2000)
    pieces = list(read_pieces(corpus(path)))
    text = path.read_text()
    assert "".join(piece.text for piece in pieces) == text
    assert len(pieces) > 4
    assert all(piece.text.endswith("\n") for piece in pieces[:-1])
    assert max(len(piece.text) for piece in pieces) < 17_000
    assert sum(piece.n_bytes for piece in pieces) == len(text.encode())
    assert [piece.begins for piece in pieces] == [True] + [False] * (len(pieces) - 1)


def test_every_file_of_a_folder_begins_a_document(
    write_text: Callable[..., Path], tmp_path: Path
) -> None:
    for name in ("books/b.txt", "books/a.txt", "books/deep/c.txt"):
        write_text(name, n_lines=1000, seed=len(name))
    pieces = list(read_pieces(corpus(tmp_path / "books")))
    assert sum(piece.begins for piece in pieces) == 3
    first = (tmp_path / "books" / "a.txt").read_text()
    assert pieces[0].begins
    assert first.startswith(pieces[0].text)


def test_reading_stops_after_the_bytes_that_were_asked_for(
    write_text: Callable[..., Path],
) -> None:
    pieces = list(read_pieces(corpus(write_text()), max_bytes=40_000))
    n_bytes = [piece.n_bytes for piece in pieces]
    assert sum(n_bytes[:-1]) < 40_000 <= sum(n_bytes)


def test_a_line_is_never_cut() -> None:
    long = "x" * 50_000
    assert [piece.text for piece in cut([f"a\n{long}\nb\n"])] == [f"a\n{long}\n", "b\n"]


def test_the_library_of_the_interpreter_is_always_there() -> None:
    piece = next(read_pieces(parse_corpus("stdlib:")))
    assert piece.begins
    assert "_Feature" in piece.text  # of __future__.py, the first module


def test_a_corpus_that_does_not_exist_is_one_line() -> None:
    with pytest.raises(TrialError, match=r"'corpus:nowhere': no such file or folder"):
        list(read_pieces(parse_corpus("corpus:nowhere")))
