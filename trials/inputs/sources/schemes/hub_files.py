"""Files of a model on a hub: whole where they are small, by ranges where they are tensors."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import (
    FileMetadataError,
    LocalEntryNotFoundError,
    RemoteEntryNotFoundError,
)

from trials.api import TrialError
from trials.inputs.cache import cache_dir, replacing
from trials.inputs.digests import text_digest
from trials.inputs.sources.formats.byte_ranges import ByteReader, LocalBytes
from trials.inputs.sources.formats.local_tensors import open_tensors, tensors_of
from trials.inputs.sources.formats.tensor_file import TensorFile
from trials.inputs.sources.schemes.http_ranges import (
    RangesIgnored,
    RemoteBytes,
    patiently,
    warn_whole_file,
)
from trials.inputs.sources.schemes.hub_http import endpoint, file_metadata, remote_file


def remote_tensors(repo: str, name: str, commit: str) -> TensorFile | None:
    """The tensors of a file at a commit, each read by its own bytes; None if there is no file.

    A pickle in torch's older format is fetched whole, and so is a pickle from a server without
    ranges. Then it stays in the hub's cache.
    """
    file = _open(repo, name, commit)
    if file is None:
        return None
    try:
        if found := tensors_of(file, name):
            return found
        reason = "it has torch's old format"
    except RangesIgnored as error:
        reason = str(error)
    if isinstance(file, RemoteBytes):
        warn_whole_file(f"{name} of {repo}", reason, file.n_bytes)
    path = small_file(repo, name, commit)
    return open_tensors(path) if path else None


def shards(repo: str, name: str, commit: str) -> dict[str, str] | None:
    """The index of a sharded model: tensor -> file; None if the model is not sharded."""
    index = json_file(repo, name, commit)
    if index is None:
        return None
    shard_of = index.get("weight_map")
    if not isinstance(shard_of, dict) or not all(
        isinstance(shard, str) and re.fullmatch(r"[\w-][\w.-]*", shard)
        for shard in shard_of.values()
    ):
        raise TrialError(f"{name} does not name a file for each tensor")
    return shard_of


def json_file(repo: str, name: str, commit: str) -> dict[str, Any] | None:
    """A JSON object; None if the model has no such file."""
    path = small_file(repo, name, commit)
    if path is None:
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise TrialError(f"{name} is not JSON ({error})") from error
    if not isinstance(document, dict):
        raise TrialError(f"{name} is no JSON object")
    return document


def small_file(repo: str, name: str, commit: str) -> Path | None:
    """A whole file, kept in the hub's cache; None if the model has none."""
    if found := cached(repo, name, commit):
        return found
    try:
        file_metadata(repo, name, commit)
    except RemoteEntryNotFoundError:
        return None
    return downloaded(repo, name, commit) or _fetched(repo, name, commit)


def downloaded(repo: str, name: str, revision: str) -> Path | None:
    """A whole file in the hub's cache; None if the reply names no commit, as some mirrors' do."""
    try:
        return Path(
            patiently(lambda: hf_hub_download(repo, name, revision=revision, endpoint=endpoint()))
        )
    except (FileMetadataError, LocalEntryNotFoundError) as error:
        if isinstance(error, FileMetadataError) or isinstance(error.__cause__, FileMetadataError):
            return None
        raise


def cached(repo: str, name: str, revision: str) -> Path | None:
    """The file in the hub's cache; None if it is not there."""
    found = try_to_load_from_cache(repo, name, revision=revision)
    return Path(found) if isinstance(found, str) else None


def _fetched(repo: str, name: str, commit: str) -> Path:
    """A whole file in our own cache."""
    path = cache_dir("hub_files") / f"{text_digest(endpoint(), repo, commit)}-{name}"
    if not path.is_file():
        file = remote_file(repo, name, commit)
        with replacing(path) as temporary:
            file.save(temporary)
    return path


def _open(repo: str, name: str, commit: str) -> ByteReader | None:
    """A file's ranges, local if the hub's cache has the file; None if the model has none."""
    if found := cached(repo, name, commit):
        return LocalBytes(found)
    try:
        # A zip archive is read from its end: without ranges each read would be the whole file.
        return remote_file(repo, name, commit, may_skip=name.endswith(".safetensors"))
    except RemoteEntryNotFoundError:
        return None
