"""`hub:` sources: the input embedding of a model on a hub, at a revision, without the model."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx2
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from trials.inputs.digests import text_digest
from trials.inputs.sources.formats.tensor_file import TensorFile
from trials.inputs.sources.loaded import FetchArtifact, Loaded, NoSuchRevision
from trials.inputs.sources.mlx_quantised import unpacked
from trials.inputs.sources.schemes.http_ranges import BadReply, BrokenTransfer, server_of
from trials.inputs.sources.schemes.hub_files import (
    cached,
    downloaded,
    json_file,
    remote_tensors,
    shards,
    small_file,
)
from trials.inputs.sources.schemes.hub_http import endpoint, file_metadata
from trials.inputs.sources.tensor_names import (
    find_embedding,
    oriented,
    reading,
    rows_are_positions,
    tied_fact,
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
    return text_digest(
        "hub", source.body, commit, source.tensor, *elsewhere, *reading(source.tensor)
    )


def load(source: SourceUri, fetch: FetchArtifact | None = None) -> Loaded:
    """Fetch the embedding; safetensors by byte range, a pickle only where nothing else exists."""
    commit = commit_of(source)
    with _one_line_errors(source):
        config = json_file(source.body, "config.json", commit) or {}
        loaded = (
            _from_file(source, "model.safetensors", commit, config)
            or _from_shards(source, "model.safetensors.index.json", commit, config)
            or _from_shards(source, "pytorch_model.bin.index.json", commit, config)
            or _from_file(source, "pytorch_model.bin", commit, config)
        )
        if loaded is None:
            raise source.error("the model has neither safetensors nor pytorch_model.bin files")
        tokenizer = tokenizer_json(source)
    vocabulary = loaded.vocabulary
    if tokenizer and not rows_are_positions(loaded.facts["tensor"]):
        vocabulary = from_tokenizer_json(tokenizer).padded(len(loaded.rows))
    return Loaded(loaded.rows, vocabulary, {**loaded.facts, "commit": commit})


def tokenizer_json(source: SourceUri) -> str | None:
    """Text of the model's `tokenizer.json`; None if it has none.

    A revision without one gets the tokenizer of the branch `main`: branches of checkpoints often
    hold only weights, and without a tokenizer the rows that pad a matrix would count as tokens.
    """
    commit = _tokenizer_commit(source)
    with _one_line_errors(source):
        path = small_file(source.body, _TOKENIZER, commit)
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
    if cached(repo, _TOKENIZER, commit):
        return True
    try:
        file_metadata(repo, _TOKENIZER, commit)
    except (RemoteEntryNotFoundError, OfflineModeIsEnabled, httpx2.TransportError):
        return False
    return True


@functools.cache
def _commit(repo: str, revision: str, at: str) -> str:
    known = cached(repo, "config.json", revision)
    try:
        commit = file_metadata(repo, "config.json", revision).commit_hash
    except RemoteEntryNotFoundError as error:
        commit = error.response.headers.get("X-Repo-Commit")
    except (OfflineModeIsEnabled, httpx2.TransportError):
        if known is None:
            raise
        _log.warning("no connection to the hub: %s@%s is the cached commit", repo, revision)
        return known.parent.name
    else:
        if commit and (known is None or known.parent.name != commit):
            # Records the commit in the hub's own cache, for a later run offline.
            downloaded(repo, "config.json", revision)
    if not commit:
        raise BadReply(
            f"{at} does not say which commit '{revision}' is (no X-Repo-Commit in its reply): name "
            f"the commit, as in hub:{repo}@ and its 40 digits, or use another HF_ENDPOINT"
        )
    return commit


def _from_file(source: SourceUri, name: str, commit: str, config: dict[str, Any]) -> Loaded | None:
    tensors = remote_tensors(source.body, name, commit)
    return _loaded(tensors, source.tensor, config) if tensors else None


def _from_shards(
    source: SourceUri, name: str, commit: str, config: dict[str, Any]
) -> Loaded | None:
    shard_of = shards(source.body, name, commit)
    if shard_of is None:
        return None
    wanted = find_embedding(dict.fromkeys(shard_of), source.tensor, None)
    tensors = remote_tensors(source.body, shard_of[wanted], commit)
    if tensors is None or wanted not in tensors.shapes:
        raise source.error(f"the model's index names {shard_of[wanted]} for '{wanted}', wrongly")
    elsewhere = [name for name, shard in shard_of.items() if shard != shard_of[wanted]]
    return _loaded(tensors, wanted, config, elsewhere)


def _loaded(
    tensors: TensorFile, wanted: str, config: dict[str, Any], elsewhere: Sequence[str] = ()
) -> Loaded:
    """The matrix of a file with numbered rows; `elsewhere` are tensors of the other files."""
    tensors = unpacked(tensors, config)
    name = find_embedding(tensors.shapes, wanted, config.get("vocab_size"))
    tied = tied_fact([*tensors.own_names, *elsewhere], config.get("tie_word_embeddings"))
    facts = {"tensor": name, "dtype": tensors.dtype(name), "tied": tied}
    rows = oriented(name, tensors.read(name))
    return Loaded(rows, numbered_rows(len(rows)), facts)


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
        problem = source.error(f"the model has no revision '{source.revision}'")
        raise NoSuchRevision(str(problem)) from error
    except RepositoryNotFoundError as error:
        raise source.error(f"no such model on {at}, or a private one: set HF_TOKEN") from error
    except HfHubHTTPError as error:
        raise source.error(_refusal(error, at)) from error
    except (OfflineModeIsEnabled, LocalEntryNotFoundError) as error:
        raise source.error(
            "offline (HF_HUB_OFFLINE), and the model is not in the cache: run once with a "
            "connection, or use a dir:, gguf:, file: or wheel: source"
        ) from error
    except (BadReply, BrokenTransfer) as error:
        raise source.error(str(error)) from error
    except (httpx2.ReadError, httpx2.RemoteProtocolError) as error:
        raise source.error(
            f"the connection to {server_of(error) or at} breaks off ({_problem(error)}), and the "
            "model is not in the cache: check the network, the proxy or HF_ENDPOINT"
        ) from error
    except httpx2.RequestError as error:
        raise source.error(
            f"no answer from {server_of(error) or at} ({_problem(error)}), and the "
            "model is not in the cache: check the connection or HF_ENDPOINT"
        ) from error


def _problem(error: httpx2.RequestError) -> str:
    return str(error) or type(error).__name__


def _refusal(error: HfHubHTTPError, at: str) -> str:
    """Who answered with an error, and what to do about it."""
    status, server = error.response.status_code, server_of(error)
    if server and not at.startswith(server):
        return (
            f"{at} sends the download to {server}, which answered {status}: its link has expired "
            "or is blocked between here and there; try again later"
        )
    if status in (401, 403):
        return f"{at} refused access ({status}): no such model, or HF_TOKEN may not read it"
    if status == 429:
        return f"{at} answered 429: too many requests; try again later, or set HF_TOKEN"
    return f"{at} answered {status}; try again later"
