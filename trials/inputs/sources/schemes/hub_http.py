"""Byte ranges and metadata of files on a model hub, with bounded retries."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
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
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 60.0

_T = TypeVar("_T")


def endpoint() -> str:
    """Address of the hub; `HF_ENDPOINT` as it is now, not as it was at import."""
    return os.environ.get("HF_ENDPOINT", constants.ENDPOINT).rstrip("/")


def file_url(repo: str, name: str, revision: str) -> str:
    """Address of a file of a model at a revision."""
    return hf_hub_url(repo, name, revision=revision, endpoint=endpoint())


def file_metadata(repo: str, name: str, revision: str) -> HfFileMetadata:
    """Commit, ETag and size of a file, from a HEAD request; huggingface_hub's errors."""
    url = file_url(repo, name, revision)
    return patiently(lambda: get_hf_file_metadata(url, endpoint=endpoint()))


class RemoteBytes:
    """Ranges of one file on the hub, at a commit."""

    def __init__(self, url: str, n_bytes: int) -> None:
        self.url = url
        self.n_bytes = n_bytes

    def read(self, start: int, stop: int) -> bytearray:
        """Exactly the bytes start .. stop-1; a broken transfer resumes where it stopped."""
        received = bytearray()
        patiently(lambda: self._receive(received, start, stop))
        return received

    def _receive(self, received: bytearray, start: int, stop: int) -> None:
        position = start + len(received)
        headers = {
            **build_hf_headers(),
            "Range": f"bytes={position}-{stop - 1}",
            "Accept-Encoding": "identity",
        }
        timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
        with get_session().stream("GET", self.url, headers=headers, timeout=timeout) as reply:
            hf_raise_for_status(reply)
            to_skip = _first_byte_missing(reply, position)
            for chunk in reply.iter_bytes():
                wanted = memoryview(chunk)[to_skip : to_skip + stop - start - len(received)]
                to_skip = max(0, to_skip - len(chunk))
                received += wanted
                if len(received) == stop - start:
                    return  # a server that ignores Range would send the whole file
        raise httpx2.RemoteProtocolError(f"the reply ended at byte {start + len(received)}")


def _first_byte_missing(reply: httpx2.Response, position: int) -> int:
    """How many bytes the reply starts before `position`."""
    if reply.status_code != 206:
        return position
    span = re.match(r"bytes (\d+)-", reply.headers.get("Content-Range", ""))
    if span is None or int(span[1]) > position:
        raise httpx2.RemoteProtocolError("the reply is another range than the one asked for")
    return position - int(span[1])


def patiently(call: Callable[[], _T]) -> _T:
    """`call()`, retried with growing waits while the hub is busy or the connection breaks.

    Waits as long as `Retry-After` asks, at most a minute. A hub that cannot be reached at all is
    tried only twice: waiting rarely helps.
    """
    for n_tried in range(1, _N_TRIES + 1):
        asked = ""
        try:
            return call()
        except OfflineModeIsEnabled:
            raise
        except HfHubHTTPError as error:
            if error.response.status_code not in _BUSY or n_tried == _N_TRIES:
                raise
            asked = error.response.headers.get("Retry-After", "")
        except httpx2.TransportError as error:
            if n_tried == _N_TRIES or (isinstance(error, httpx2.ConnectError) and n_tried == 2):
                raise
        time.sleep(wait_s(n_tried, asked))
    raise AssertionError("unreachable")


def wait_s(n_tried: int, asked: str) -> float:
    """Seconds before the next try: what `Retry-After` asked for, else doubling; bounded."""
    wait = float(asked) if asked.isdecimal() else _FIRST_WAIT_S * 2 ** (n_tried - 1)
    return min(wait, _LONGEST_WAIT_S)
