"""Byte ranges and metadata of files on a model hub, with bounded retries."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import TypeVar

import httpx2
from huggingface_hub import HfFileMetadata, constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    build_hf_headers,
    get_session,
    hf_raise_for_status,
)

_BUSY = (408, 429, 500, 502, 503, 504)
_N_TRIES = 5
_N_RESUMED = 1000  # of one read that goes on each time
_N_HUBS = 3  # that redirect to one another
_MANY_BYTES = 1 << 20
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 60.0

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


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
    return patiently(lambda: _size_by_get(file_url(repo, name, revision))) if size is None else size


def _size_by_get(url: str) -> int:
    headers = {**build_hf_headers(), "Range": "bytes=0-0", "Accept-Encoding": "identity"}
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with get_session().stream("GET", url, headers=headers, timeout=timeout) as reply:
        hf_raise_for_status(reply)
        given = _whole_size(reply)
    if given is None:
        raise BadReply(f"{_server(reply.url)} does not say how large {url} is")
    return given


class RangesIgnored(Exception):
    """The server, or a proxy before it, sends a file from its start whatever range is asked for."""


class BadReply(httpx2.RemoteProtocolError):
    """A reply that is none to the question; says whose."""


class BrokenTransfer(httpx2.TransportError):
    """A transfer that broke too often; says where."""


class RemoteBytes:
    """Ranges of one file on the hub, at a commit.

    Args:
        url: of the file.
        n_bytes: its size.
        may_skip: read up to the range where a server ignores ranges; else raise `RangesIgnored`.
    """

    def __init__(self, url: str, n_bytes: int, *, may_skip: bool = True) -> None:
        self.url = url
        self.n_bytes = n_bytes
        self._may_skip = may_skip

    def read(self, start: int, stop: int) -> bytearray:
        """Exactly the bytes start .. stop-1; a broken transfer resumes where it stopped."""
        received = bytearray()
        if stop > start:
            patiently(lambda: self._receive(received, start, stop), lambda: len(received))
        return received

    def _receive(self, received: bytearray, start: int, stop: int) -> None:
        position = start + len(received)
        headers = {
            **build_hf_headers(),
            "Range": f"bytes={position}-{stop - 1}",
            "Accept-Encoding": "identity",
        }
        timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
        # Always from the hub: a redirect of an earlier reply may have expired.
        with get_session().stream("GET", self.url, headers=headers, timeout=timeout) as reply:
            hf_raise_for_status(reply)
            to_skip = self._first_byte_missing(reply, position)
            for chunk in reply.iter_bytes():
                wanted = memoryview(chunk)[to_skip : to_skip + stop - start - len(received)]
                to_skip = max(0, to_skip - len(chunk))
                received += wanted
                if len(received) == stop - start:
                    return  # a server that ignores Range would send the whole file
            raise httpx2.RemoteProtocolError(
                f"the reply ended at byte {start + len(received)}", request=reply.request
            )

    def _first_byte_missing(self, reply: httpx2.Response, position: int) -> int:
        """How many bytes the reply starts before `position`."""
        server, size = _server(reply.url), _whole_size(reply)
        if size not in (None, self.n_bytes):
            raise BadReply(
                f"{server} sends a file of {size} bytes in place of one of {self.n_bytes}: check "
                "the proxy or mirror"
            )
        if reply.status_code != 206:
            if position and not self._may_skip:
                raise RangesIgnored(f"{server} ignores byte ranges")
            if position > _MANY_BYTES:
                _log.warning("%s ignores byte ranges: %d MB are skipped", server, position >> 20)
            return position
        span = re.match(r"bytes (\d+)-", reply.headers.get("Content-Range", ""))
        if span is None or int(span[1]) > position:
            raise BadReply(
                f"{server} sends another range than the one asked for: check the proxy or mirror"
            )
        return position - int(span[1])


def _whole_size(reply: httpx2.Response) -> int | None:
    """Bytes of the whole file, as far as a reply says."""
    if reply.status_code == 206:
        span = re.fullmatch(r"bytes \d+-\d+/(\d+)", reply.headers.get("Content-Range", ""))
        return int(span[1]) if span else None
    length = reply.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() and "Content-Encoding" not in reply.headers else None


def server_of(error: HfHubHTTPError | httpx2.RequestError) -> str:
    """Address of the server that a request failed at; "" if it is not known."""
    if isinstance(error, HfHubHTTPError):
        return _server(error.response.url)
    try:
        return _server(error.request.url)
    except RuntimeError:  # the error came about without a request
        return ""


def _server(url: httpx2.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def patiently(call: Callable[[], _T], progress: Callable[[], int] = lambda: 0) -> _T:
    """`call()`, retried with growing waits while the hub is busy or the connection breaks.

    Waits as long as `Retry-After` asks, at most a minute. A hub that cannot be reached at all is
    tried only twice: waiting rarely helps. A call that got further than before, as `progress`
    tells, counts as a first try.
    """
    n_tried, n_resumed, before = 0, 0, progress()
    while True:
        n_tried, asked = n_tried + 1, ""
        try:
            return call()
        except OfflineModeIsEnabled:
            raise
        except HfHubHTTPError as error:
            busy = error.response.status_code in _BUSY or _is_stale_link(error)
            if not busy or n_tried >= _N_TRIES:
                raise
            asked = error.response.headers.get("Retry-After", "")
        except httpx2.TransportError as error:
            if progress() > before:
                n_tried, n_resumed, before = 0, n_resumed + 1, progress()
                if n_resumed >= _N_RESUMED:
                    raise BrokenTransfer(
                        f"the connection to {server_of(error)} broke {n_resumed} times within "
                        f"{progress()} bytes: check the network or the proxy"
                    ) from error
                continue
            if n_tried >= _N_TRIES or (isinstance(error, httpx2.ConnectError) and n_tried == 2):
                raise
        time.sleep(wait_s(n_tried, asked))


def _is_stale_link(error: HfHubHTTPError) -> bool:
    """Whether another server than the hub refuses: the link that the hub gave may have expired."""
    refuses = error.response.status_code in (401, 403, 404, 410)
    return refuses and not endpoint().startswith(server_of(error))


def wait_s(n_tried: int, asked: str) -> float:
    """Seconds before the next try: what `Retry-After` asked for, else doubling; bounded.

    `Retry-After` is a number of seconds or a date.
    """
    wait = float(asked) if asked.isdecimal() else _until(asked)
    if wait <= 0 and asked != "0":  # a date that is past by our clock says nothing
        wait = _FIRST_WAIT_S * 2 ** (n_tried - 1)
    return min(wait, _LONGEST_WAIT_S)


def _until(date: str) -> float:
    """Seconds until an HTTP date; 0 if it is none."""
    try:
        return parsedate_to_datetime(date).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return 0.0
