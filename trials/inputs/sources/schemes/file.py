"""`file:` sources: a matrix in a file of tensors, and the token texts next to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from trials.api import TrialError
from trials.inputs.digests import file_digest, text_digest
from trials.inputs.local_files import read_text, regular_file
from trials.inputs.sources.formats.local_tensors import open_tensors
from trials.inputs.sources.formats.shards import holders, require, shard_name, shards_beside
from trials.inputs.sources.formats.tensor_file import TensorFile
from trials.inputs.sources.loaded import FetchArtifact, Loaded
from trials.inputs.sources.mlx_quantised import MLX, unpacked
from trials.inputs.sources.tensor_names import (
    find_embedding,
    oriented,
    oriented_shape,
    reading,
    rows_are_positions,
    tied_fact,
)
from trials.inputs.sources.uri import SourceUri
from trials.inputs.sources.vocabulary import (
    Vocabulary,
    from_tokenizer_json,
    named_rows,
    numbered_rows,
)

_TYING = {"no": "untied", "yes": "tied"}


class LocalMatrix(NamedTuple):
    """Where the matrix of a source lies.

    Attributes:
        path: the file that holds it.
        tensors: the tensors of that file.
        facts: tensor, dtype and, where known, tied.
        from_other_files: facts that only other files of the model give; part of the digest.
    """

    path: Path
    tensors: TensorFile
    facts: dict[str, str]
    from_other_files: tuple[str, ...] = ()

    @property
    def n_rows(self) -> int:
        """Rows of the matrix."""
        name = self.facts["tensor"]
        return oriented_shape(name, self.tensors.shapes[name])[0]

    def read(self) -> np.ndarray:
        """The matrix as stored, a row per token."""
        name = self.facts["tensor"]
        return oriented(name, self.tensors.read(name))

    def vocabulary(self) -> Vocabulary:
        """Texts of the rows, from the files next to the matrix."""
        if rows_are_positions(self.facts["tensor"]):
            return numbered_rows(self.n_rows)
        return read_vocabulary(vocabulary_beside(self.path), self.n_rows)

    def digest(self, wanted: str) -> str:
        """Digest of the content of the file and of what next to it names its tokens."""
        beside, tokenizer = vocabulary_beside(self.path), self.path.with_name("tokenizer.json")
        named = file_digest(beside) if beside else ""
        more = (*self.from_other_files, *reading(wanted))
        if tokenizer.is_file() and beside != tokenizer:  # frequencies and `tokens` depend on it
            more = (*more, file_digest(tokenizer))
        return text_digest("file", file_digest(self.path), wanted, named, *more)


def digest(source: SourceUri) -> str:
    """Digest of the content of the file and of the vocabulary next to it.

    For a model in shards: of the shard that holds the matrix, whichever is named.
    """
    return find_matrix(source.path, source.tensor).digest(source.tensor)


def check(source: SourceUri) -> None:
    """TrialError for whatever `load` would refuse before it reads the matrix."""
    find_matrix(source.path, source.tensor).vocabulary()


def load(source: SourceUri, fetch: FetchArtifact | None = None) -> Loaded:
    """Read the matrix and its vocabulary."""
    matrix = find_matrix(source.path, source.tensor)
    vocabulary = matrix.vocabulary()
    return Loaded(matrix.read(), vocabulary, matrix.facts)


def tokenizer_json(source: SourceUri) -> str | None:
    """Text of the `tokenizer.json` in the folder of the file; None if there is none."""
    return tokenizer_in(source.path.parent)


def tokenizer_in(folder: Path) -> str | None:
    """Text of the `tokenizer.json` in a folder; None if there is none."""
    path = folder / "tokenizer.json"
    return read_text(path) if path.is_file() else None


def read_rows(path: Path, tensor: str) -> tuple[np.ndarray, dict[str, str]]:
    """The matrix of one file as stored, and facts about it; a .npy file has one of any name."""
    matrix = _in_files([path], "" if path.suffix == ".npy" else tensor, {})
    return matrix.read(), matrix.facts


def find_matrix(path: Path, wanted: str, config: Mapping[str, Any] | None = None) -> LocalMatrix:
    """The matrix in a file, or in the model in shards of which it is one.

    Args:
        path: the file.
        wanted: name of the tensor ("" for the input embedding).
        config: the model's `config.json`, where it belongs to the source.

    Raises:
        TrialError: no such file, a shard is missing, no such tensor, or a type that is not read.
    """
    regular_file(path)
    return _in_files(_shards_of(path) or [path], wanted, config or {})


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


def _in_files(paths: list[Path], wanted: str, config: Mapping[str, Any]) -> LocalMatrix:
    """The matrix in one of the files, which together are the model."""
    tensors_in = {path: unpacked(open_tensors(path), config) for path in paths}
    shapes = {n: shape for found in tensors_in.values() for n, shape in found.shapes.items()}
    holder = holders({path: found.shapes for path, found in tensors_in.items()})
    name = find_embedding(shapes, wanted, config.get("vocab_size"))
    path = holder[name]
    tensors = tensors_in[path]
    facts = {"tensor": name, "dtype": tensors.dtype(name)}
    if path.suffix == ".npy":
        return LocalMatrix(path, tensors, facts)
    own_names = [name for found in tensors_in.values() for name in found.own_names]
    tied = tied_fact(own_names, config.get("tie_word_embeddings"))
    from_others = () if tied == tied_fact(tensors.own_names) else (_TYING[tied],)
    if facts["dtype"].startswith(MLX):  # config.json says how to read it
        from_others = (*from_others, facts["dtype"])
    return LocalMatrix(path, tensors, {**facts, "tied": tied}, from_others)


def _shards_of(path: Path) -> list[Path]:
    """The files of a model in shards; none if `path` is a whole model.

    A shard is recognised by its name, or by an index next to it that lists it.

    Raises:
        TrialError: a shard is missing, or the index is damaged.
    """
    if shard_name(path):
        return shards_beside(path)
    for index in sorted(path.parent.glob(f"*{path.suffix}.index.json")):
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
