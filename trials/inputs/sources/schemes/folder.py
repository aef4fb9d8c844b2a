"""`dir:` sources: the folder of a model, or its folder in the hub's cache.

The folder holds weights in one file or in shards (safetensors, GGUF, torch or NumPy), and perhaps a
`config.json` and a `tokenizer.json`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from trials.api import TrialError
from trials.inputs.digests import text_digest
from trials.inputs.local_files import read_text
from trials.inputs.messages import problem_of
from trials.inputs.sources.formats.shards import shard_name
from trials.inputs.sources.loaded import FetchArtifact, Loaded
from trials.inputs.sources.schemes import file, gguf
from trials.inputs.sources.uri import FILE_SUFFIXES, SourceUri

_USUAL = ("model", "pytorch_model", "weights", "consolidated")
"""Stems of weights; a folder may hold other files of tensors besides."""


class ModelFolder(NamedTuple):
    """A folder, the file that names the model in it, and its `config.json`."""

    path: Path
    weights: Path
    config: dict[str, Any]

    @property
    def is_gguf(self) -> bool:
        """Whether the model is a GGUF model, which has its own vocabulary."""
        return self.weights.suffix == ".gguf"

    def as_gguf(self, source: SourceUri) -> SourceUri:
        """The source of the file."""
        return SourceUri(source.text, "gguf", str(self.weights), tensor=source.tensor)


def digest(source: SourceUri) -> str:
    """Digest of the file that holds the matrix, of its vocabulary, and of how it is read."""
    model = find_model(source.path)
    if model.is_gguf:
        return text_digest("dir", gguf.digest(model.as_gguf(source)))
    matrix = file.find_matrix(model.weights, source.tensor, model.config)
    return text_digest("dir", matrix.digest(source.tensor), matrix.facts["tensor"])


def check(source: SourceUri) -> None:
    """TrialError for whatever `load` would refuse before it reads the matrix."""
    model = find_model(source.path)
    if model.is_gguf:
        gguf.check(model.as_gguf(source))
    else:
        file.find_matrix(model.weights, source.tensor, model.config).vocabulary()


def load(source: SourceUri, fetch: FetchArtifact | None = None) -> Loaded:
    """Read the matrix and its vocabulary."""
    model = find_model(source.path)
    if model.is_gguf:
        return gguf.load(model.as_gguf(source))
    matrix = file.find_matrix(model.weights, source.tensor, model.config)
    return Loaded(matrix.read(), matrix.vocabulary(), matrix.facts)


def tokenizer_json(source: SourceUri) -> str | None:
    """Text of the `tokenizer.json` in the folder, else of the tokenizer of a GGUF file."""
    model = find_model(source.path)
    found = file.tokenizer_in(model.path)
    return gguf.tokenizer_json(model.as_gguf(source)) if model.is_gguf and not found else found


def find_model(folder: Path) -> ModelFolder:
    """The model in a folder.

    Raises:
        TrialError: no folder, no weights in it, several models, or a damaged `config.json`.
    """
    try:
        if not folder.is_dir():
            raise TrialError("no such folder" if not folder.exists() else "is no folder")
        path = _snapshot(folder) if (folder / "snapshots").is_dir() else folder
        files = sorted(found for found in path.iterdir() if found.is_file())
    except (OSError, ValueError) as error:
        raise TrialError(f"the folder cannot be opened ({problem_of(error)})") from error
    return ModelFolder(path, _weights(files), _config(path / "config.json"))


def _snapshot(repository: Path) -> Path:
    """The revision `main` of a repository in the hub's cache, else the only revision there is."""
    main = repository / "refs" / "main"
    if main.is_file():
        commit = read_text(main).strip()
        if commit.isalnum() and (repository / "snapshots" / commit).is_dir():
            return repository / "snapshots" / commit
    found = sorted(path for path in (repository / "snapshots").iterdir() if path.is_dir())
    if len(found) != 1:
        raise TrialError(
            f"holds {len(found)} revisions and none of them is main: name one of the folders in "
            "snapshots"
        )
    return found[0]


def _weights(files: list[Path]) -> Path:
    """The one file of weights, or the first of a model in shards; safetensors before others."""
    for suffix in (".safetensors", ".gguf", *FILE_SUFFIXES[1:]):
        models: dict[str, Path] = {}
        for path in files:
            if path.suffix == suffix:
                shard = shard_name(path)
                models.setdefault(shard.stem if shard else path.stem, path)
        usual = [stem for stem in _USUAL if stem in models]
        if usual:
            return models[usual[0]]
        if len(models) == 1 or _one_index(files, suffix):
            return next(iter(models.values()))
        if models:
            names = ", ".join(path.name for path in list(models.values())[:5])
            scheme = "gguf" if suffix == ".gguf" else "file"
            raise TrialError(f"holds several files of weights ({names}): name one with {scheme}:")
    raise TrialError(
        f"holds no weights: none of its files ends in .gguf, {', '.join(FILE_SUFFIXES)}"
    )


def _one_index(files: list[Path], suffix: str) -> bool:
    return sum(path.name.endswith(f"{suffix}.index.json") for path in files) == 1


def _config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        document = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise TrialError(f"{path.name} is not JSON ({error})") from error
    if not isinstance(document, dict):
        raise TrialError(f"{path.name} is no JSON object")
    return {
        name: value
        for name, kind in (
            ("vocab_size", int),
            ("tie_word_embeddings", bool),
            ("quantization", dict),
        )
        if isinstance(value := document.get(name), kind)
    }
