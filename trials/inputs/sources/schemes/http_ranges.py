"""Byte ranges of a file on a server, with bounded retries; errors say which server did what."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

import httpx2
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import get_session, hf_raise_for_status  # type: ignore[attr-defined]

_BUSY = (408, 429, 500, 502, 503, 504)
_N_TRIES = 5
_N_RESUMED = 1000  # of one read that goes on each time
_MANY_BYTES = 1 << 20
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 60.0

_T = TypeVar("_T")
_Write = Callable[[memoryview], object]
_log = logging.getLogger(__name__)


class ServedFile(NamedTuple):
    """What a server says about a file: its size, and the text that names its content, or ""."""

    n_bytes: int
    version: str


def warn_whole_file(name: str, reason: str, n_bytes: int) -> None:
    """Say that the matrix alone cannot be read."""
    _log.warning("%s: %s, so all of its %.0f MB are downloaded", name, reason, n_bytes / 1e6)


def served_file(url: str, headers: Mapping[str, str]) -> ServedFile:
    """Size and version of a file; huggingface_hub's errors. BadReply: the server gives no size."""
    return patiently(lambda: _by_get(url, headers))


def _by_get(url: str, headers: Mapping[str, str]) -> ServedFile:
    # Not HEAD: the signature of a link is often for GET alone.
    asked = {**headers, "Range": "bytes=0-0", "Accept-Encoding": "identity"}
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with get_session().stream("GET", url, headers=asked, timeout=timeout) as reply:
        hf_raise_for_status(reply)
        n_bytes = _whole_size(reply)
        version = reply.headers.get("ETag") or reply.headers.get("Last-Modified") or ""
    if n_bytes is None:
        raise BadReply(f"{_server(reply.url)} does not say how large the file is")
    return ServedFile(n_bytes, version.removeprefix("W/"))


class RangesIgnored(Exception):
    """The server, or a proxy before it, sends a file from its start whatever range is asked for."""


class BadReply(httpx2.RemoteProtocolError):
    """A reply that is none to the question; says whose."""


class BrokenTransfer(httpx2.TransportError):
    """A transfer that broke too often; says where."""


class RemoteBytes:
    """Ranges of one file on a server.

    Args:
        url: of the file.
        n_bytes: its size.
        headers: sent with each request, to this server and not to one that it redirects to.
        may_skip: read up to the range where a server ignores ranges; else raise `RangesIgnored`.
    """

    def __init__(
        self, url: str, n_bytes: int, headers: Mapping[str, str], *, may_skip: bool = True
    ) -> None:
        self.url = url
        self.n_bytes = n_bytes
        self._headers = headers
        self._may_skip = may_skip

    def read(self, start: int, stop: int) -> bytearray:
        """Exactly the bytes start .. stop-1; a broken transfer resumes where it stopped."""
        received = bytearray()
        if stop > start:
            self._receive_all(received.extend, lambda: start + len(received), stop)
        return received

    def save(self, path: Path) -> None:
        """Write the whole file."""
        with path.open("wb") as file:
            self._receive_all(file.write, file.tell, self.n_bytes)

    def _receive_all(self, write: _Write, position: Callable[[], int], stop: int) -> None:
        patiently(lambda: self._receive(write, position, stop), position)

    def _receive(self, write: _Write, position: Callable[[], int], stop: int) -> None:
        headers = {
            **self._headers,
            "Range": f"bytes={position()}-{stop - 1}",
            "Accept-Encoding": "identity",
        }
        timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
        # Always from this server: a redirect of an earlier reply may have expired.
        with get_session().stream("GET", self.url, headers=headers, timeout=timeout) as reply:
            hf_raise_for_status(reply)
            to_skip = self._first_byte_missing(reply, position())
            for chunk in reply.iter_bytes():
                write(memoryview(chunk)[to_skip : to_skip + stop - position()])
                to_skip = max(0, to_skip - len(chunk))
                if position() == stop:
                    return  # a server that ignores Range would send the whole file
            raise httpx2.RemoteProtocolError(
                f"the reply ended at byte {position()}", request=reply.request
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


def first_server(error: HfHubHTTPError) -> str:
    """Address of the server that was asked, before it redirected."""
    replies = [*error.response.history, error.response]
    return _server(replies[0].url)


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
                        f"the connection to {server_of(error)} broke {n_resumed} times by byte "
                        f"{progress()}: check the network or the proxy"
                    ) from error
                continue
            if n_tried >= _N_TRIES or (isinstance(error, httpx2.ConnectError) and n_tried == 2):
                raise
        time.sleep(wait_s(n_tried, asked))


def _is_stale_link(error: HfHubHTTPError) -> bool:
    """Whether a server refuses to which another one redirected: its link may have expired."""
    refuses = error.response.status_code in (401, 403, 404, 410)
    return refuses and first_server(error) != server_of(error)


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
