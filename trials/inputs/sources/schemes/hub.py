"""`hub:` sources: the input embedding of a model on a hub, at a revision, without the model."""

from __future__ import annotations

import functools
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from trials.api import TrialError
from trials.inputs.digests import text_digest
from trials.inputs.sources.formats.pickle_file import read_pickled
from trials.inputs.sources.formats.safetensors_file import (
    ByteReader,
    LocalBytes,
    read_header,
    read_matrix,
)
from trials.inputs.sources.loaded import FetchArtifact, Loaded, find_embedding, tied_fact
from trials.inputs.sources.schemes.hub_http import (
    RemoteBytes,
    endpoint,
    file_metadata,
    file_url,
    patiently,
)
from trials.inputs.sources.uri import SourceUri
from trials.inputs.sources.vocabulary import from_tokenizer_json, numbered_rows

_log = logging.getLogger(__name__)

_MAIN = "main"
_TOKENIZER = "tokenizer.json"


def digest(source: SourceUri) -> str:
    """Digest of repository, commit and tensor: a commit fixes the content of every file.

    The commit of the tokenizer is included where it differs.
    """
    commit, names = commit_of(source), _tokenizer_commit(source)
    elsewhere = () if names == commit else (names,)
    return text_digest("hub", source.body, commit, source.tensor, *elsewhere)


def load(source: SourceUri, fetch: FetchArtifact | None = None) -> Loaded:
    """Fetch the embedding; safetensors by byte range, a pickle only where nothing else exists."""
    commit = commit_of(source)
    with _one_line_errors(source):
        config = _json_file(source.body, "config.json", commit) or {}
        loaded = (
            _from_safetensors(source, commit, config)
            or _from_sharded(source, commit, config)
            or _from_pickle(source, commit, config)
        )
        if loaded is None:
            raise source.error("the model has neither safetensors nor pytorch_model.bin files")
        tokenizer = tokenizer_json(source)
    n_vocab = loaded.rows.shape[0]
    vocabulary = from_tokenizer_json(tokenizer).padded(n_vocab) if tokenizer else loaded.vocabulary
    return Loaded(loaded.rows, vocabulary, {**loaded.facts, "commit": commit})


def tokenizer_json(source: SourceUri) -> str | None:
    """Text of the model's `tokenizer.json`; None if it has none.

    A revision without one gets the tokenizer of the branch `main`: branches of checkpoints often
    hold only weights, and without a tokenizer the rows that pad a matrix would count as tokens.
    """
    commit = _tokenizer_commit(source)
    with _one_line_errors(source):
        path = _small_file(source.body, _TOKENIZER, commit)
    return path.read_text(encoding="utf-8") if path else None


def commit_of(source: SourceUri) -> str:
    """The commit that the revision names, constant for the life of this process.

    Offline: the commit that the hub's cache has for that revision.
    """
    if re.fullmatch(r"[0-9a-f]{40}", source.revision):
        return source.revision
    with _one_line_errors(source):
        return _commit(source.body, source.revision, endpoint())


def _tokenizer_commit(source: SourceUri) -> str:
    """The commit whose tokenizer names the rows; the source's own where there is none at all."""
    commit = commit_of(source)
    if source.revision == _MAIN:
        return commit
    with _one_line_errors(source):
        if _has_tokenizer(source.body, commit, endpoint()):
            return commit
        return _named_by_main(source.body, commit)


def _named_by_main(repo: str, commit: str) -> str:
    try:
        main = _commit(repo, _MAIN, endpoint())
    except (RevisionNotFoundError, OfflineModeIsEnabled, httpx2.TransportError):
        return commit
    return main if _has_tokenizer(repo, main, endpoint()) else commit


@functools.cache
def _has_tokenizer(repo: str, commit: str, at: str) -> bool:
    """Whether the commit has a tokenizer; offline, whether the hub's cache has it."""
    if _cached(repo, _TOKENIZER, commit):
        return True
    try:
        file_metadata(repo, _TOKENIZER, commit)
    except (RemoteEntryNotFoundError, OfflineModeIsEnabled, httpx2.TransportError):
        return False
    return True


@functools.cache
def _commit(repo: str, revision: str, at: str) -> str:
    cached = _cached(repo, "config.json", revision)
    try:
        commit = file_metadata(repo, "config.json", revision).commit_hash
    except RemoteEntryNotFoundError as error:
        commit = error.response.headers.get("X-Repo-Commit")
    except (OfflineModeIsEnabled, httpx2.TransportError):
        if cached is None:
            raise
        _log.warning("no connection to the hub: %s@%s is the cached commit", repo, revision)
        return cached.parent.name
    else:
        if commit and (cached is None or cached.parent.name != commit):
            # Records the commit in the hub's own cache, for a later run offline.
            hf_hub_download(repo, "config.json", revision=revision, endpoint=at)
    if not commit:
        raise httpx2.RemoteProtocolError("the reply names no commit")
    return commit


def _from_safetensors(source: SourceUri, commit: str, config: dict[str, Any]) -> Loaded | None:
    file = _open(source.body, "model.safetensors", commit)
    if file is None:
        return None
    spans = read_header(file)
    name = find_embedding(
        {n: span.shape for n, span in spans.items()}, source.tensor, config.get("vocab_size")
    )
    span = spans[name]
    tied = tied_fact(spans, config.get("tie_word_embeddings"))
    rows = read_matrix(file, span)
    facts = {"tensor": name, "dtype": span.dtype, "tied": tied}
    return Loaded(rows, numbered_rows(len(rows)), facts)


def _from_sharded(source: SourceUri, commit: str, config: dict[str, Any]) -> Loaded | None:
    shard_of = _shards(source.body, "model.safetensors.index.json", commit)
    if shard_of is None:
        return None
    name = find_embedding(dict.fromkeys(shard_of), source.tensor, None)
    file = _open(source.body, shard_of[name], commit)
    spans = read_header(file) if file else {}
    if file is None or name not in spans:
        raise source.error(f"the model's index names {shard_of[name]} for '{name}', wrongly")
    find_embedding({name: spans[name].shape}, name, None)
    tied = tied_fact(shard_of, config.get("tie_word_embeddings"))
    rows = read_matrix(file, spans[name])
    facts = {"tensor": name, "dtype": spans[name].dtype, "tied": tied}
    return Loaded(rows, numbered_rows(len(rows)), facts)


def _from_pickle(source: SourceUri, commit: str, config: dict[str, Any]) -> Loaded | None:
    shard_of = _shards(source.body, "pytorch_model.bin.index.json", commit)
    file_name, wanted, elsewhere = "pytorch_model.bin", source.tensor, []
    if shard_of is not None:
        wanted = find_embedding(dict.fromkeys(shard_of), source.tensor, None)
        file_name = shard_of[wanted]
        elsewhere = [name for name, shard in shard_of.items() if shard != file_name]
    path = _small_file(source.body, file_name, commit)
    if path is None:
        return None
    return read_pickled(path, wanted, config, elsewhere)


def _open(repo: str, name: str, commit: str) -> ByteReader | None:
    """A file's ranges, local if the hub's cache has the file; None if the model has none."""
    if cached := _cached(repo, name, commit):
        return LocalBytes(cached)
    try:
        size = file_metadata(repo, name, commit).size
    except RemoteEntryNotFoundError:
        return None
    if size is None:
        raise httpx2.RemoteProtocolError(f"the reply gives no size of {name}")
    return RemoteBytes(file_url(repo, name, commit), size)


def _small_file(repo: str, name: str, commit: str) -> Path | None:
    """A whole file, kept in the hub's cache; None if the model has none."""
    if cached := _cached(repo, name, commit):
        return cached
    try:
        file_metadata(repo, name, commit)
    except RemoteEntryNotFoundError:
        return None
    return Path(
        patiently(lambda: hf_hub_download(repo, name, revision=commit, endpoint=endpoint()))
    )


def _json_file(repo: str, name: str, commit: str) -> dict[str, Any] | None:
    path = _small_file(repo, name, commit)
    if path is None:
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TrialError(f"{name} is not JSON ({error})") from error
    if not isinstance(document, dict):
        raise TrialError(f"{name} is no JSON object")
    return document


def _shards(repo: str, name: str, commit: str) -> dict[str, str] | None:
    """The index of a sharded model: tensor -> file; None if the model is not sharded."""
    index = _json_file(repo, name, commit)
    if index is None:
        return None
    shard_of = index.get("weight_map")
    if not isinstance(shard_of, dict) or not all(
        isinstance(shard, str) and re.fullmatch(r"[\w-][\w.-]*", shard)
        for shard in shard_of.values()
    ):
        raise TrialError(f"{name} does not name a file for each tensor")
    return shard_of


def _cached(repo: str, name: str, revision: str) -> Path | None:
    found = try_to_load_from_cache(repo, name, revision=revision)
    return Path(found) if isinstance(found, str) else None


@contextmanager
def _one_line_errors(source: SourceUri) -> Iterator[None]:
    """Translate the hub client's errors into one line that says what to do."""
    at = endpoint()
    try:
        yield
    except GatedRepoError as error:
        raise source.error(
            f"the model is gated: accept its terms on {at}/{source.body} and set HF_TOKEN"
        ) from error
    except RevisionNotFoundError as error:
        raise source.error(f"the model has no revision '{source.revision}'") from error
    except RepositoryNotFoundError as error:
        raise source.error(f"no such model on {at}, or a private one: set HF_TOKEN") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise source.error(
                f"{at} refused access ({status}): no such model, or HF_TOKEN may not read it"
            ) from error
        raise source.error(f"{at} answered {status}; try again later") from error
    except (OfflineModeIsEnabled, LocalEntryNotFoundError) as error:
        raise source.error(
            "offline (HF_HUB_OFFLINE), and the model is not in the cache: run once with a "
            "connection, or use a gguf:, file: or wheel: source"
        ) from error
    except httpx2.RequestError as error:
        raise source.error(
            f"no answer from {at} ({error or type(error).__name__}), and the model is not in the "
            "cache: check the connection or HF_ENDPOINT"
        ) from error
