"""`file:` sources: a matrix in a safetensors or NumPy file, and the texts that lie beside it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from trials.api import TrialError
from trials.inputs.sources.cache import file_digest, text_digest
from trials.inputs.sources.loaded import Loaded, find_embedding, tied_fact
from trials.inputs.sources.safetensors_range import LocalBytes, read_header, read_matrix
from trials.inputs.sources.tokens import (
    Vocabulary,
    from_tokenizer_json,
    named_rows,
    numbered_rows,
)
from trials.inputs.sources.uri import SourceUri


def digest(source: SourceUri) -> str:
    """Digest of the content of the file and of the vocabulary beside it."""
    _check(source)
    beside = vocabulary_beside(source.path)
    named = file_digest(beside) if beside else ""
    return text_digest("file", file_digest(source.path), source.tensor, named)


def load(source: SourceUri) -> Loaded:
    """Read the matrix and its vocabulary."""
    _check(source)
    rows, facts = read_rows(source.path, source.tensor)
    return Loaded(rows, read_vocabulary(vocabulary_beside(source.path), len(rows)), facts)


def read_rows(path: Path, tensor: str) -> tuple[np.ndarray, dict[str, str]]:
    """The matrix of a safetensors or NumPy file as stored, and facts about it."""
    if path.suffix == ".npy":
        return _read_numpy(path)
    file = LocalBytes(path)
    spans = read_header(file)
    name = find_embedding({n: span.shape for n, span in spans.items()}, tensor, None)
    facts = {"tensor": name, "dtype": spans[name].dtype, "tied": tied_fact(spans)}
    return read_matrix(file, spans[name]), facts


def vocabulary_beside(path: Path) -> Path | None:
    """The first of the files that may name the rows of `path`; None if there is none."""
    names = (f"{path.stem}.tokens.json", f"{path.stem}.tokens.txt", "tokenizer.json")
    candidates = (path.with_name(name) for name in (*names, "tokens.json", "tokens.txt"))
    return next((beside for beside in candidates if beside.is_file()), None)


def read_vocabulary(path: Path | None, n_vocab: int) -> Vocabulary:
    """Texts of the rows: a `tokenizer.json`, a JSON list, or a text a line.

    Raises:
        TrialError: not readable, or a list of another length than the matrix.
    """
    if path is None:
        return numbered_rows(n_vocab)
    text = path.read_text(encoding="utf-8")
    if path.name == "tokenizer.json":
        return from_tokenizer_json(text).padded(n_vocab)
    if path.suffix == ".json":
        try:
            tokens = json.loads(text)
        except ValueError as error:
            raise TrialError(f"{path} is not JSON ({error})") from error
    else:
        # Not splitlines(): tokens may hold other line breaks than "\n".
        tokens = text.removesuffix("\n").split("\n")
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise TrialError(f"{path} must be a list of strings, one a row")
    if len(tokens) != n_vocab:
        raise TrialError(f"{path} names {len(tokens)} tokens, but the matrix has {n_vocab} rows")
    return named_rows(tokens)


def _check(source: SourceUri) -> None:
    if not source.path.is_file():
        raise source.error("no such file")


def _read_numpy(path: Path) -> tuple[np.ndarray, dict[str, str]]:
    try:
        rows = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise TrialError(f"{path} is not a readable .npy file ({error})") from error
    if (
        not isinstance(rows, np.ndarray)
        or rows.ndim != 2
        or rows.dtype.kind != "f"
        or not rows.size
    ):
        what = f"{rows.dtype} {rows.shape}" if isinstance(rows, np.ndarray) else "an archive"
        raise TrialError(f"{path} holds {what}; an embedding is (n_vocab, d_model) of floats")
    return rows, {"tensor": path.name, "dtype": str(rows.dtype)}
