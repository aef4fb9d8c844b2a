"""`gguf:` sources: a local GGUF model, in one file or in shards of which any names the model."""

from __future__ import annotations

from trials.inputs.digests import file_digest, text_digest
from trials.inputs.local_files import regular_file
from trials.inputs.sources.formats.gguf_file import (
    OUTPUT,
    check_gguf,
    open_model,
    read_gguf,
    read_tokenizer,
)
from trials.inputs.sources.loaded import FetchArtifact, Loaded
from trials.inputs.sources.tensor_names import reading
from trials.inputs.sources.uri import SourceUri


def digest(source: SourceUri) -> str:
    """Digest of the file's content and the tensor's name.

    For a model in shards: of the first, which has the tokens, and of the one that holds the
    tensor, whichever is named.
    """
    regular_file(source.path)
    model = open_model(source.path)
    if len(model.headers) == 1:
        return text_digest("gguf", file_digest(source.path), source.tensor, *reading(source.tensor))
    holder = model.holder[model.embedding(source.tensor)]
    used = dict.fromkeys((next(iter(model.headers)), holder))
    known_from_others = ("untied",) if model.holder.get(OUTPUT, holder) != holder else ()
    wanted = (source.tensor, *reading(source.tensor))
    return text_digest("gguf", *map(file_digest, used), *known_from_others, *wanted)


def check(source: SourceUri) -> None:
    """TrialError for whatever `load` would refuse before it reads the matrix."""
    check_gguf(source.path, source.tensor)


def load(source: SourceUri, fetch: FetchArtifact | None = None) -> Loaded:
    """Read and dequantise the embedding of the model."""
    return read_gguf(source.path, source.tensor)


def tokenizer_json(source: SourceUri) -> str:
    """The tokenizer that the file describes, as a `tokenizer.json`."""
    return read_tokenizer(source.path).to_str()
