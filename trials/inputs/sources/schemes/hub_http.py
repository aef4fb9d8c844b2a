"""Files of models on a hub: their address, their commit and their bytes."""

from __future__ import annotations

import os

from huggingface_hub import HfFileMetadata, constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from trials.inputs.sources.schemes.http_ranges import RemoteBytes, patiently, served_file

_N_HUBS = 3  # that redirect to one another


def endpoint() -> str:
    """Address of the hub; `HF_ENDPOINT` as it is now, not as it was at import."""
    return os.environ.get("HF_ENDPOINT", constants.ENDPOINT).rstrip("/")


def file_url(repo: str, name: str, revision: str) -> str:
    """Address of a file of a model at a revision."""
    return hf_hub_url(repo, name, revision=revision, endpoint=endpoint())


def file_metadata(repo: str, name: str, revision: str) -> HfFileMetadata:
    """Commit, ETag and size of a file, from a HEAD request; huggingface_hub's errors.

    A mirror may redirect to another hub. Its reply then says nothing, and that hub is asked, which
    the token is not sent to.
    """
    url = file_url(repo, name, revision)
    found = patiently(lambda: get_hf_file_metadata(url, endpoint=endpoint()))
    for _ in range(_N_HUBS):
        if found.commit_hash or found.location == url:
            break
        url = found.location
        found = patiently(lambda url=url: get_hf_file_metadata(url, token=False))  # type: ignore[misc]
    return found


def file_size(repo: str, name: str, revision: str) -> int:
    """Bytes of a file; huggingface_hub's errors. BadReply: the server does not say."""
    size = file_metadata(repo, name, revision).size
    url = file_url(repo, name, revision)
    return served_file(url, build_hf_headers()).n_bytes if size is None else size


def remote_file(repo: str, name: str, revision: str, *, may_skip: bool = True) -> RemoteBytes:
    """Ranges of a file; the token is sent to the hub alone. huggingface_hub's errors."""
    n_bytes = file_size(repo, name, revision)
    url = file_url(repo, name, revision)
    return RemoteBytes(url, n_bytes, build_hf_headers(), may_skip=may_skip)
