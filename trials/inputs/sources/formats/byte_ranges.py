"""Files that are read by byte ranges, local or remote, so that one tensor costs its own bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from trials.api import TrialError

_READ_AHEAD_BYTES = 16_384


@runtime_checkable
class ByteReader(Protocol):
    """A file whose ranges can be read."""

    n_bytes: int

    def read(self, start: int, stop: int) -> bytes | bytearray:
        """Exactly the bytes start .. stop-1."""


class LocalBytes:
    """Ranges of a local file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.n_bytes = path.stat().st_size

    def read(self, start: int, stop: int) -> bytearray:
        """Exactly the bytes start .. stop-1."""
        # Writable, so that a matrix of float32 is used where it was read, without a copy.
        data = bytearray(stop - start)
        with self.path.open("rb", buffering=0) as file:
            file.seek(start)
            view, n_read = memoryview(data), 0
            while n_read < len(data) and (n := file.readinto(view[n_read:])):
                n_read += n
        if n_read != len(data):
            raise TrialError(f"{self.path} ends before byte {stop}")
        return data


class ReadAhead:
    """Small reads of a file, fetched with what follows and kept: each may be a request."""

    def __init__(self, file: ByteReader) -> None:
        self.n_bytes = file.n_bytes
        self._file = file
        self._kept: list[tuple[int, bytes]] = []

    def read(self, start: int, stop: int) -> bytes:
        """Exactly the bytes start .. stop-1."""
        for first, data in self._kept:
            if first <= start and stop <= first + len(data):
                return data[start - first : stop - first]
        end = min(max(stop, start + _READ_AHEAD_BYTES), self.n_bytes)
        data = bytes(self._file.read(start, end))
        self._kept.append((start, data))
        return data[: stop - start]
