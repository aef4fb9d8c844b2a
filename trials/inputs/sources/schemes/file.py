"""`file:` sources: a matrix in a safetensors or NumPy file, and the token texts next to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from trials.api import TrialError
from trials.inputs.digests import file_digest, text_digest
from trials.inputs.local_files import read_text, regular_file
from trials.inputs.sources.formats import npy_file
from trials.inputs.sources.formats.safetensors_file import (
    LocalBytes,
    TensorSpan,
    check_dtype,
    read_header,
    read_matrix,
)
from trials.inputs.sources.formats.shards import holders, require, shard_name, shards_beside
from trials.inputs.sources.loaded import FetchArtifact, Loaded, find_embedding, tied_fact
from trials.inputs.sources.uri import SourceUri
from trials.inputs.sources.vocabulary import (
    Vocabulary,
    from_tokenizer_json,
    named_rows,
    numbered_rows,
)


class _Matrix(NamedTuple):
    """Where the matrix of a source lies.

    Attributes:
        path: the file that holds it.
        at: where in the file.
        facts: tensor, dtype and, where known, tied.
        from_other_shards: facts that only other files of the model give; part of the digest.
    """

    path: Path
    at: npy_file.NpyHeader | TensorSpan
    facts: dict[str, str]
    from_other_shards: tuple[str, ...] = ()

    def read(self) -> np.ndarray:
        if isinstance(self.at, TensorSpan):
            return read_matrix(LocalBytes(self.path), self.at)
        return npy_file.read_array(self.path, self.at)


def digest(source: SourceUri) -> str:
    """Digest of the content of the file and of the vocabulary next to it.

    For a model in shards: of the shard that holds the matrix, whichever is named.
    """
    matrix = _find(source)
    beside = vocabulary_beside(matrix.path)
    named = file_digest(beside) if beside else ""
    return text_digest(
        "file", file_digest(matrix.path), source.tensor, named, *matrix.from_other_shards
    )


def check(source: SourceUri) -> None:
    """TrialError for whatever `load` would refuse before it reads the matrix."""
    matrix = _find(source)
    read_vocabulary(vocabulary_beside(matrix.path), matrix.at.shape[0])


def load(source: SourceUri, fetch: FetchArtifact | None = None) -> Loaded:
    """Read the matrix and its vocabulary."""
    matrix = _find(source)
    vocabulary = read_vocabulary(vocabulary_beside(matrix.path), matrix.at.shape[0])
    return Loaded(matrix.read(), vocabulary, matrix.facts)


def tokenizer_json(source: SourceUri) -> str | None:
    """Text of the `tokenizer.json` in the folder of the file; None if there is none."""
    path = source.path.parent / "tokenizer.json"
    return read_text(path) if path.is_file() else None


def read_rows(path: Path, tensor: str) -> tuple[np.ndarray, dict[str, str]]:
    """The matrix of one safetensors or NumPy file as stored, and facts about it."""
    matrix = _in_numpy(path) if path.suffix == ".npy" else _in_safetensors([path], tensor)
    return matrix.read(), matrix.facts


def vocabulary_beside(path: Path) -> Path | None:
    """The first of the files that may name the rows of `path`; None if there is none.

    In a model in shards they are named after the shard that holds the matrix, or the model.
    """
    shard = shard_name(path)
    stems = [path.stem, *([shard.stem] if shard else [])]
    own = [f"{stem}.tokens.{suffix}" for stem in stems for suffix in ("json", "txt")]
    candidates = (
        path.with_name(name) for name in (*own, "tokenizer.json", "tokens.json", "tokens.txt")
    )
    return next((beside for beside in candidates if beside.is_file()), None)


def read_vocabulary(path: Path | None, n_vocab: int) -> Vocabulary:
    """Texts of the rows: a `tokenizer.json`, a JSON list, or one text per line.

    Raises:
        TrialError: not readable, or a list of another length than the matrix.
    """
    if path is None:
        return numbered_rows(n_vocab)
    text = read_text(path)
    if path.name == "tokenizer.json":
        return from_tokenizer_json(text).padded(n_vocab)
    if path.suffix == ".json":
        try:
            tokens = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise TrialError(f"{path} is not JSON ({error})") from error
    else:
        # Not splitlines(): tokens may hold other line breaks than "\n".
        tokens = text.removesuffix("\n").split("\n")
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise TrialError(f"{path} must be a list of strings, one per row")
    if len(tokens) != n_vocab:
        raise TrialError(f"{path} names {len(tokens)} tokens, but the matrix has {n_vocab} rows")
    return named_rows(tokens)


def _find(source: SourceUri) -> _Matrix:
    path = source.path
    regular_file(path)
    if path.suffix == ".npy":
        return _in_numpy(path)
    return _in_safetensors(_shards_of(path) or [path], source.tensor)


def _in_numpy(path: Path) -> _Matrix:
    header = npy_file.read_header(path)
    if len(header.shape) != 2 or header.dtype.kind != "f" or 0 in header.shape:
        raise TrialError(
            f"{path.name} holds {header.dtype} {header.shape}; an embedding is (n_vocab, d_model) "
            "of floats"
        )
    return _Matrix(path, header, {"tensor": path.name, "dtype": str(header.dtype)})


def _in_safetensors(paths: list[Path], tensor: str) -> _Matrix:
    """The matrix in one of the files, which together are the model."""
    spans_in = {path: read_header(LocalBytes(path)) for path in paths}
    spans = {name: span for found in spans_in.values() for name, span in found.items()}
    holder = holders(spans_in)
    name = find_embedding({n: span.shape for n, span in spans.items()}, tensor, None)
    check_dtype(spans[name])
    path, tied = holder[name], tied_fact(spans)
    facts = {"tensor": name, "dtype": spans[name].dtype, "tied": tied}
    from_others = () if tied == tied_fact(spans_in[path]) else ("untied",)
    return _Matrix(path, spans[name], facts, from_others)


def _shards_of(path: Path) -> list[Path]:
    """The files of a safetensors model in shards; none if `path` is a whole model.

    A shard is recognised by its name, or by an index next to it that lists it.

    Raises:
        TrialError: a shard is missing, or the index is damaged.
    """
    if shard_name(path):
        return shards_beside(path)
    for index in sorted(path.parent.glob("*.safetensors.index.json")):
        names = _files_in(index)
        if path.name in names and len(names) > 1:
            files = [path.with_name(name) for name in sorted(names)]
            for file in files:
                require(file, path)
            return files
    return []


def _files_in(index: Path) -> set[str]:
    """The files that an index of shards lists; none if it lists no tensors."""
    try:
        document: Any = json.loads(index.read_text(encoding="utf-8"))
        return {Path(name).name for name in document["weight_map"].values()}
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        raise TrialError(
            f"{index.name} beside it does not name a file for each tensor: download it again, or "
            "remove it if the file is a whole model"
        ) from error
