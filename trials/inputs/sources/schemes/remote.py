"""`https:`, `s3:` and `gs:` sources: a matrix in a file on a server, read by byte ranges.

A web server is read as a hub is, without its token; object stores by fsspec, with the credentials
that its file systems find. A `tokenizer.json` in the same folder names the rows.
"""

from __future__ import annotations

import functools
import posixpath
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import httpx2
from fsspec.core import url_to_fs  # type: ignore[import-untyped]
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from trials.api import TrialError
from trials.inputs.cache import cache_dir, replacing
from trials.inputs.digests import text_digest
from trials.inputs.sources.formats.byte_ranges import ByteReader
from trials.inputs.sources.formats.local_tensors import open_tensors, tensors_of
from trials.inputs.sources.loaded import FetchArtifact, Loaded
from trials.inputs.sources.schemes.http_ranges import (
    BadReply,
    BrokenTransfer,
    RangesIgnored,
    RemoteBytes,
    first_server,
    served_file,
    server_of,
    warn_whole_file,
)
from trials.inputs.sources.tensor_names import (
    find_embedding,
    oriented,
    reading,
    rows_are_positions,
    tied_fact,
)
from trials.inputs.sources.uri import SourceUri
from trials.inputs.sources.vocabulary import from_tokenizer_json, numbered_rows

_WEB = ("https", "http")


class _Remote(NamedTuple):
    """A remote file: its ranges, how to fetch it whole, and the text that names its content."""

    file: ByteReader
    save: Callable[[Path], None]
    version: str


def digest(source: SourceUri) -> str:
    """Digest of the address, and of what the server says names the content: ETag, or a date."""
    with _one_line_errors(source):
        tokenizer = _opened_or_none(_beside(source.address))
        versions = (_opened(source.address).version, tokenizer.version if tokenizer else "")
    return text_digest("remote", source.address, *versions, source.tensor, *reading(source.tensor))


def load(source: SourceUri, fetch: FetchArtifact | None = None) -> Loaded:
    """Read the matrix by its own bytes, and its vocabulary."""
    with _one_line_errors(source):
        tensors = _tensors(source.address)
        name = find_embedding(tensors.shapes, source.tensor, None)
        facts = {"tensor": name, "dtype": tensors.dtype(name)}
        facts["tied"] = tied_fact(tensors.own_names)
        rows = oriented(name, tensors.read(name))
        text = None if rows_are_positions(name) else tokenizer_json(source)
    vocabulary = from_tokenizer_json(text).padded(len(rows)) if text else numbered_rows(len(rows))
    return Loaded(rows, vocabulary, facts)


def tokenizer_json(source: SourceUri) -> str | None:
    """Text of the `tokenizer.json` in the folder of the file; None if there is none."""
    with _one_line_errors(source):
        found = _opened_or_none(_beside(source.address))
        if found is None:
            return None
        try:
            return bytes(found.file.read(0, found.file.n_bytes)).decode("utf-8")
        except UnicodeDecodeError as error:
            raise TrialError("the tokenizer.json beside it is not UTF-8") from error


def _tensors(address: str) -> Any:
    remote, name = _opened(address), posixpath.basename(urlsplit(address).path)
    try:
        if found := tensors_of(remote.file, name):
            return found
        reason = "it has torch's old format"
    except RangesIgnored as error:
        reason = str(error)
    warn_whole_file(name, reason, remote.file.n_bytes)
    path = cache_dir("remote_files") / f"{text_digest(address, remote.version)}-{name[-80:]}"
    if not path.is_file():
        with replacing(path) as temporary:
            remote.save(temporary)
    return open_tensors(path)


def _beside(address: str) -> str:
    """The address of the tokenizer; the signature of a link to the weights is not for it."""
    parts = urlsplit(address)
    path = posixpath.join(posixpath.dirname(parts.path), "tokenizer.json")
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


@functools.lru_cache(maxsize=64)
def _opened_or_none(address: str) -> _Remote | None:
    """The file; None if there is none, or none that may be read."""
    try:
        return _opened(address)
    except (FileNotFoundError, PermissionError):
        return None
    except HfHubHTTPError as error:
        if error.response.status_code in (401, 403, 404, 410):
            return None
        raise


@functools.lru_cache(maxsize=64)
def _opened(address: str) -> _Remote:
    """The file, whose version is constant for the life of this process."""
    if urlsplit(address).scheme in _WEB:
        size, version = served_file(address, {})
        is_tensors = urlsplit(address).path.endswith(".safetensors")
        remote = RemoteBytes(address, size, {}, may_skip=is_tensors)
        opened = _Remote(remote, remote.save, version)
    else:
        opened = _in_store(address)
    if not opened.version:
        raise TrialError(
            "the server gives neither ETag nor Last-Modified, so that a change would go unseen: "
            "download the file and name it with file:"
        )
    return opened


def _in_store(address: str) -> _Remote:
    try:
        files, path = url_to_fs(address)
        info = files.info(path)
    except (ImportError, FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # each store's client has errors of its own
        raise TrialError(f"the object store refused ({type(error).__name__}: {error})") from error
    names = ("ETag", "etag", "md5Hash", "generation", "VersionId", "LastModified", "created")
    version = next((f"{name} {info[name]}" for name in names if info.get(name)), "")
    return _Remote(
        _StoreBytes(files, path, int(info["size"])),
        lambda target: files.get_file(path, str(target)),
        version,
    )


class _StoreBytes:
    """Ranges of a file in an object store."""

    def __init__(self, files: Any, path: str, n_bytes: int) -> None:
        self._files, self._path, self.n_bytes = files, path, n_bytes

    def read(self, start: int, stop: int) -> bytes:
        """Exactly the bytes start .. stop-1."""
        data: bytes = (
            self._files.cat_file(self._path, start=start, end=stop) if stop > start else b""
        )
        if len(data) != stop - start:
            raise TrialError(f"the object store sends {len(data)} bytes in place of {stop - start}")
        return data


@contextmanager
def _one_line_errors(source: SourceUri) -> Iterator[None]:
    """Translate the errors of clients into one line that says whose fault it is."""
    try:
        yield
    except ImportError as error:
        raise source.error(
            f"{source.scheme}: needs a package that is not installed ({error})"
        ) from error
    except FileNotFoundError as error:
        raise source.error("no such file") from error
    except PermissionError as error:
        raise source.error("access refused: check the credentials of the object store") from error
    except HfHubHTTPError as error:
        raise source.error(_refusal(error)) from error
    except OfflineModeIsEnabled as error:
        raise source.error("offline (HF_HUB_OFFLINE): name a local file with file:") from error
    except (BadReply, BrokenTransfer) as error:
        raise source.error(str(error)) from error
    except httpx2.RequestError as error:
        raise source.error(
            f"no answer from {server_of(error) or source.address} "
            f"({error or type(error).__name__}): check the address and the connection"
        ) from error


def _refusal(error: HfHubHTTPError) -> str:
    status, server, asked = error.response.status_code, server_of(error), first_server(error)
    if server != asked:
        return f"{asked} redirects to {server}, which answered {status}"
    if status in (404, 410):
        return f"{server} has no such file ({status})"
    if status in (401, 403):
        return f"{server} refused access ({status}): a link may have expired; no token is sent"
    return f"{server} answered {status}; try again later"
