"""The embedding, tokens and tokenizer out of a GGUF model (llama.cpp's format).

A model may be split over several files. The first has the metadata; any of them names the model.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from gguf import dequantize
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from tokenizers import Tokenizer

from trials.api import TrialError
from trials.inputs.sources.formats.gguf_header import (
    GgufHeader,
    GgufTensor,
    quantisation,
    read_bytes,
    read_header,
)
from trials.inputs.sources.formats.gguf_tokenizer import build_tokenizer
from trials.inputs.sources.formats.shards import holders, shard_name, shards_beside
from trials.inputs.sources.loaded import Loaded, NoTokenizer
from trials.inputs.sources.tensor_names import find_embedding, rows_are_positions
from trials.inputs.sources.vocabulary import Alphabet, Vocabulary, from_pieces, numbered_rows

EMBEDDING = "token_embd.weight"
OUTPUT = "output.weight"  # missing where the embedding is used for the output too

# `tokenizer.ggml.token_type`
_UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED = 2, 3, 4, 5

_ALPHABETS: dict[str, Alphabet] = {"gpt2": "bytes", "llama": "metaspace", "t5": "metaspace"}
_ALPHABETS |= {"bert": "metaspace", "gemma4": "metaspace"}


class GgufModel(NamedTuple):
    """Headers of the files of a model in order, and which of them holds each tensor."""

    headers: dict[Path, GgufHeader]
    holder: dict[str, Path]

    @property
    def metadata(self) -> dict[str, Any]:
        """Of the first file; the others have none except their own number."""
        return next(iter(self.headers.values())).metadata

    @property
    def tied(self) -> str:
        """Whether input and output embedding are one matrix, "yes" or "no"."""
        return "no" if OUTPUT in self.holder else "yes"

    def tensor(self, name: str) -> GgufTensor:
        """Where the tensor of that name lies."""
        return self.headers[self.holder[name]].tensors[name]

    def embedding(self, wanted: str) -> str:
        """Name of the matrix. TrialError: no such tensor, not a matrix, or of an unknown type."""
        shapes = {name: self.tensor(name).shape for name in self.holder}
        name = find_embedding(shapes, wanted or EMBEDDING, None)
        quantisation(self.tensor(name))
        return name


def read_gguf(path: Path, tensor: str = "") -> Loaded:
    """One matrix of a GGUF model, dequantised to float32, with the model's vocabulary.

    Raises:
        TrialError: not a GGUF file, a shard is missing, no such tensor, not a matrix, or a
            quantisation that the gguf package cannot read.
    """
    model = open_model(path)
    name = model.embedding(tensor)
    rows = _dequantised(model.holder[name], model.tensor(name))
    facts = {
        "tensor": name,
        "dtype": quantisation(model.tensor(name)).name,
        "tied": model.tied,
        "model": str(model.metadata.get("general.name") or ""),
    }
    return Loaded(rows, _vocabulary(path, model.metadata, name, len(rows)), facts)


def check_gguf(path: Path, tensor: str = "") -> None:
    """TrialError for whatever `read_gguf` would refuse before it reads the matrix."""
    model = open_model(path)
    name = model.embedding(tensor)
    found = model.tensor(name)
    _check_readable(quantisation(found))
    _vocabulary(path, model.metadata, name, found.shape[0])


def read_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer that a GGUF model describes.

    Raises:
        NoTokenizer: the file has no byte-level BPE, or a pre-tokenizer that is not known here.
    """
    metadata = open_model(path).metadata
    model = metadata.get("tokenizer.ggml.model")
    if model != "gpt2":
        raise NoTokenizer(
            f"{path.name} holds a '{model}' tokenizer; only byte-level BPE ('gpt2') can be built "
            "from a GGUF file: use the model's hub: source"
        )
    pieces = _Pieces.of(path, metadata)
    return build_tokenizer(
        pieces.texts,
        pieces.merges,
        pre_tokenizer=str(metadata.get("tokenizer.ggml.pre")),
        special=np.flatnonzero(pieces.types == _CONTROL).tolist(),
        added=np.flatnonzero(pieces.types == _USER_DEFINED).tolist(),
    )


def shard_count(path: Path) -> int:
    """The number of files of the model of `path`. TrialError: no GGUF file, or one is missing."""
    return len(open_model(path).headers)


def open_model(path: Path) -> GgufModel:
    """The headers of the model of which `path` is a file. TrialError: no GGUF file, or no model."""
    header = _header(path)
    headers = {path: header}
    if _number(header.metadata, "split.count", 1) > 1 or shard_name(path):
        headers = _shards(path, header)
    holder = holders({shard: found.tensors for shard, found in headers.items()})
    model = GgufModel(headers, holder)
    expected = _number(model.metadata, "split.tensors.count", len(holder))
    if len(headers) > 1 and expected != len(holder):
        raise TrialError(
            f"the {len(headers)} shards of {path.name} hold {len(holder)} tensors, but their "
            f"header says {expected}: they are not of one model; download them again"
        )
    return model


def _shards(path: Path, header: GgufHeader) -> dict[Path, GgufHeader]:
    """The headers of all shards of a model, one of which is `path`."""
    # A link may have another name; the other shards are next to its target.
    place = path if shard_name(path) else path.resolve()
    if (named := shard_name(place)) is None:
        count = header.metadata["split.count"]
        raise TrialError(
            f"{path.name} is one shard of {count} by its header, but its name does not end in "
            f"-00001-of-{count:05d}.gguf or the like: give it its original name, so that the "
            "other shards can be found"
        )
    headers = {shard: _header(shard) for shard in shards_beside(place)}
    for number, (shard, found) in enumerate(headers.items()):
        no = _number(found.metadata, "split.no", number)
        count = _number(found.metadata, "split.count", named.n_shards)
        if (no, count) != (number, named.n_shards):
            raise TrialError(
                f"{shard.name} is shard {no + 1} of {count} by its header, not what its name "
                "says: give the shards their original names"
            )
    return headers


def _header(path: Path) -> GgufHeader:
    """Parsed once per content of the file: a large vocabulary takes a while."""
    status = path.stat()
    return _parsed(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


@functools.lru_cache(maxsize=4)
def _parsed(path: Path, *_seen: int) -> GgufHeader:
    return read_header(path)


def _number(metadata: dict[str, Any], name: str, default: int) -> int:
    found = metadata.get(name, default)
    if type(found) is not int or found < 0:
        raise TrialError(f"not a sound GGUF header: '{name}' is {found!r}, not a count")
    return found


def _dequantised(path: Path, tensor: GgufTensor) -> np.ndarray:
    kind = quantisation(tensor)
    rows = _dequantise(read_bytes(path, tensor), kind)
    return np.array(rows, dtype=np.float32).reshape(tensor.shape)


def _check_readable(kind: GGMLQuantizationType) -> None:
    """TrialError if the gguf package cannot dequantise numbers of this type."""
    _dequantise(np.zeros((1, GGML_QUANT_SIZES[kind][1]), np.uint8), kind)


def _dequantise(blocks: np.ndarray, kind: GGMLQuantizationType) -> np.ndarray:
    try:
        with np.errstate(all="ignore"):  # numbers that are not finite are refused later
            return dequantize(blocks, kind)
    except NotImplementedError as error:
        raise TrialError(
            f"numbers of type {kind.name} cannot be read; convert the model to F16 or Q8_0"
        ) from error


class _Pieces(NamedTuple):
    """The vocabulary as the file stores it: a text, a type and perhaps a score per row; merges."""

    texts: list[str]
    types: np.ndarray
    scores: list[float]
    merges: list[str]

    @classmethod
    def of(cls, path: Path, metadata: dict[str, Any]) -> _Pieces:
        """TrialError: lists of another kind or length than needed."""
        texts, merges = (_texts(path, metadata, name) for name in ("tokens", "merges"))
        types = np.asarray(metadata.get("tokenizer.ggml.token_type", np.ones(len(texts), int)))
        scores = np.asarray(metadata.get("tokenizer.ggml.scores", ()))
        if types.shape != (len(texts),) or types.dtype.kind not in "iu":
            raise _damaged(path, "token_type", f"must be {len(texts)} whole numbers, one per token")
        if scores.shape not in ((0,), (len(texts),)) or scores.dtype.kind != "f":
            raise _damaged(path, "scores", f"must be {len(texts)} numbers, one per token")
        if not all(" " in merge for merge in merges):
            raise _damaged(path, "merges", "must be pairs of pieces with a space between them")
        return cls(texts, types, scores.tolist(), merges)


def _texts(path: Path, metadata: dict[str, Any], name: str) -> list[str]:
    found = metadata.get(f"tokenizer.ggml.{name}", [])
    if isinstance(found, np.ndarray) and not len(found):
        return []
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise _damaged(path, name, "must be a list of texts")
    return found


def _damaged(path: Path, name: str, rule: str) -> TrialError:
    return TrialError(
        f"{path.name}: 'tokenizer.ggml.{name}' {rule}; download or convert the model again"
    )


def _vocabulary(path: Path, metadata: dict[str, Any], name: str, n_vocab: int) -> Vocabulary:
    pieces = _Pieces.of(path, metadata)
    if not pieces.texts or rows_are_positions(name):
        return numbered_rows(n_vocab)
    return from_pieces(
        pieces.texts,
        alphabet=_ALPHABETS.get(str(metadata.get("tokenizer.ggml.model")), "plain"),
        special=np.isin(pieces.types, (_UNKNOWN, _CONTROL, _UNUSED)),
        verbatim=frozenset(np.flatnonzero(pieces.types == _USER_DEFINED).tolist()),
        merges=[(left, right) for left, _, right in (m.partition(" ") for m in pieces.merges)],
        scores=pieces.scores,
    ).padded(n_vocab)
