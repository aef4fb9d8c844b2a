"""`gguf:` sources: the embedding, tokens and tokenizer out of a GGUF file (llama.cpp's format)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trials.api import TrialError
from trials.inputs.sources.cache import file_digest, text_digest
from trials.inputs.sources.loaded import Loaded, find_embedding
from trials.inputs.sources.tokens import Alphabet, Vocabulary, from_pieces, numbered_rows
from trials.inputs.sources.uri import SourceUri

if TYPE_CHECKING:
    from gguf import GGUFReader
    from tokenizers import Tokenizer

EMBEDDING = "token_embd.weight"

# `tokenizer.ggml.token_type`
_UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED = 2, 3, 4, 5

_ALPHABETS: dict[str, Alphabet] = {"gpt2": "bytes", "llama": "metaspace", "t5": "metaspace"}
_ALPHABETS |= {"bert": "metaspace", "gemma4": "metaspace"}


def digest(source: SourceUri) -> str:
    """Digest of the file's content and the tensor's name."""
    if not source.path.is_file():
        raise source.error("no such file")
    return text_digest("gguf", file_digest(source.path), source.tensor)


def load(source: SourceUri) -> Loaded:
    """Read and dequantise the embedding of the file."""
    return read_gguf(source.path, source.tensor)


def read_gguf(path: Path, tensor: str = "") -> Loaded:
    """One matrix of a GGUF file, dequantised to float32, with the file's vocabulary.

    Raises:
        TrialError: not a GGUF file, no such tensor, not a matrix, or a quantisation that the
            gguf package cannot read.
    """
    from gguf import dequantize

    reader = _reader(path)
    tensors = {t.name: t for t in reader.tensors}
    # GGUF gives the fastest axis first.
    shapes = {name: tuple(int(n) for n in t.shape[::-1]) for name, t in tensors.items()}
    name = find_embedding(shapes, tensor or EMBEDDING, None)
    kind = tensors[name].tensor_type
    try:
        rows = np.array(dequantize(tensors[name].data, kind), dtype=np.float32)
    except NotImplementedError as error:
        raise TrialError(f"{path.name}: quantisation {kind.name} cannot be read") from error
    facts = {
        "tensor": name,
        "dtype": kind.name,
        "tied": "no" if "output.weight" in tensors else "yes",
        "model": str(_value(reader, "general.name") or ""),
    }
    return Loaded(rows.reshape(shapes[name]), _vocabulary(reader, len(rows)), facts)


def read_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer that a GGUF file describes.

    Raises:
        TrialError: the file has no byte-level BPE, or a pre-tokenizer that is not known here.
    """
    from trials.inputs.sources.bpe import build_tokenizer

    reader = _reader(path)
    model = _value(reader, "tokenizer.ggml.model")
    if model != "gpt2":
        raise TrialError(
            f"{path.name} holds a '{model}' tokenizer; only byte-level BPE ('gpt2') can be built "
            "from a GGUF file: use the model's hub: source"
        )
    types = np.array(_value(reader, "tokenizer.ggml.token_type") or [])
    return build_tokenizer(
        _value(reader, "tokenizer.ggml.tokens") or [],
        _value(reader, "tokenizer.ggml.merges") or [],
        pre_tokenizer=str(_value(reader, "tokenizer.ggml.pre")),
        special=np.flatnonzero(types == _CONTROL).tolist(),
        added=np.flatnonzero(types == _USER_DEFINED).tolist(),
    )


def _reader(path: Path) -> GGUFReader:
    from gguf import GGUFReader

    try:
        return GGUFReader(path)
    except (ValueError, KeyError, IndexError, OverflowError, MemoryError) as error:
        raise TrialError(f"{path} is not a whole GGUF file ({error})") from error


def _value(reader: GGUFReader, key: str) -> Any:
    field = reader.get_field(key)
    return None if field is None else field.contents()


def _vocabulary(reader: GGUFReader, n_vocab: int) -> Vocabulary:
    pieces = _value(reader, "tokenizer.ggml.tokens")
    if not pieces:
        return numbered_rows(n_vocab)
    types = np.array(_value(reader, "tokenizer.ggml.token_type") or [1] * len(pieces))
    merges = [tuple(merge.split(" ", 1)) for merge in _value(reader, "tokenizer.ggml.merges") or ()]
    return from_pieces(
        pieces,
        alphabet=_ALPHABETS.get(str(_value(reader, "tokenizer.ggml.model")), "plain"),
        special=np.isin(types, (_UNKNOWN, _CONTROL, _UNUSED)),
        verbatim=frozenset(np.flatnonzero(types == _USER_DEFINED).tolist()),
        merges=merges,
        scores=_value(reader, "tokenizer.ggml.scores") or (),
    ).padded(n_vocab)
