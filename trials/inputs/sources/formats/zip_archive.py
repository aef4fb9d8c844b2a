"""Entries of a zip archive, read by byte ranges, with nothing in the archive trusted.

The standard library reads the directory at the end (zip64 too). Entries are never written to disk.
Checked before anything is read: names, sizes against the file, entries on top of one another, and
how far a packed entry expands.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import IO, NamedTuple, cast

from trials.api import TrialError
from trials.inputs.messages import one_line
from trials.inputs.sources.formats.byte_ranges import ByteReader, ReadAhead

MAGIC = b"PK\x03\x04"
_MAX_DIRECTORY_BYTES = 8_000_000  # 100,000 entries; the largest models have a few thousand
_TAIL_BYTES = 65_536  # holds the whole directory of most models
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_MAX_EXPANSION = 100  # weights pack to a half; zip bombs to a thousandth
_PIECE_BYTES = 1 << 20
_ENCRYPTED = 1
_DAMAGED = (
    zipfile.BadZipFile,
    NotImplementedError,  # a version of the format that the library does not know
    struct.error,
    ValueError,  # includes names that cannot be decoded
    OverflowError,
)


class Entry(NamedTuple):
    """An entry of the directory: where its header starts, and its bytes packed and unpacked."""

    name: str
    start: int
    n_packed: int
    n_bytes: int
    method: int
    end: int
    """No byte of the entry lies here or later: another entry or the directory begins."""


class ZipArchive:
    """The entries of an archive by name. TrialError: no zip archive, damaged, or hostile.

    Args:
        file: the archive.
        label: its name, for messages.
    """

    def __init__(self, file: ByteReader, label: str) -> None:
        self._label = label
        self._large = file
        self._small = ReadAhead(file)
        self.entries = {entry.name: entry for entry in self._directory()}

    def read(self, name: str, start: int = 0, stop: int | None = None) -> bytes | bytearray:
        """The bytes start .. stop-1 of an unpacked entry, all of them by default."""
        entry = self.entries[name]
        stop = entry.n_bytes if stop is None else stop
        if not 0 <= start <= stop <= entry.n_bytes:
            raise self._error(f"'{one_line(name)}' has {entry.n_bytes} bytes, not {stop}")
        data_start = self._data_start(entry)
        if entry.method == zipfile.ZIP_DEFLATED:
            packed = self._large.read(data_start, data_start + entry.n_packed)
            return self._unpacked(entry, packed, start, stop)
        source = self._small if stop - start < _PIECE_BYTES else self._large
        return source.read(data_start + start, data_start + stop)

    def _error(self, problem: str) -> TrialError:
        return TrialError(
            f"{self._label} is not a sound zip archive: {problem}; download or save it again"
        )

    def _directory(self) -> list[Entry]:
        # One request for what the library reads in four.
        self._small.read(max(0, self._small.n_bytes - _TAIL_BYTES), self._small.n_bytes)
        try:
            archive = zipfile.ZipFile(cast(IO[bytes], _Seekable(self._small)))
            infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
        except _DAMAGED as error:
            raise self._error(f"its directory cannot be read ({error})") from error
        ends = [*(info.header_offset for info in infos[1:]), archive.start_dir]
        entries = [self._entry(info, end) for info, end in zip(infos, ends, strict=True)]
        if len({entry.name for entry in entries}) != len(entries):
            raise self._error("it names an entry twice")
        return entries

    def _entry(self, info: zipfile.ZipInfo, end: int) -> Entry:
        name = one_line(info.orig_filename)
        if "\\" in name or name.startswith("/") or ".." in name.split("/"):
            raise self._error(f"the entry name '{name}' leads out of the archive")
        if info.flag_bits & _ENCRYPTED:
            raise self._error(f"'{name}' is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise self._error(f"'{name}' is packed by method {info.compress_type}, not deflate")
        n_packed, n_bytes = info.compress_size, info.file_size
        if info.compress_type == zipfile.ZIP_STORED and n_packed != n_bytes:
            raise self._error(f"'{name}' is not packed, but claims {n_packed} and {n_bytes} bytes")
        if info.header_offset < 0 or info.header_offset + _LOCAL_HEADER.size + n_packed > end:
            raise self._error(f"'{name}' overlaps what follows it")
        if n_bytes > _MAX_EXPANSION * n_packed + _PIECE_BYTES:
            raise self._error(f"'{name}' claims to unpack from {n_packed} to {n_bytes} bytes")
        return Entry(info.filename, info.header_offset, n_packed, n_bytes, info.compress_type, end)

    def _data_start(self, entry: Entry) -> int:
        """Where the data begin: the entry's own header may be longer than the directory says."""
        header = self._small.read(entry.start, entry.start + _LOCAL_HEADER.size)
        magic, n_name, n_extra = _LOCAL_HEADER.unpack(header)
        start = entry.start + _LOCAL_HEADER.size + int(n_name) + int(n_extra)
        if magic != MAGIC or start + entry.n_packed > entry.end:
            raise self._error(f"'{one_line(entry.name)}' overlaps what follows it")
        return start

    def _unpacked(
        self, entry: Entry, packed: bytes | bytearray, start: int, stop: int
    ) -> bytearray:
        """A slice of a deflated entry; never holds more than the slice and one piece."""
        unpacker, data, position = zlib.decompressobj(-zlib.MAX_WBITS), bytearray(), 0
        rest = bytes(packed)
        try:
            while position < stop:
                piece = unpacker.decompress(rest, _PIECE_BYTES)
                rest = unpacker.unconsumed_tail
                if not piece and (unpacker.eof or not rest):
                    raise self._error(f"'{one_line(entry.name)}' unpacks to {position} bytes")
                data += piece[max(0, start - position) : max(0, stop - position)]
                position += len(piece)
        except zlib.error as error:
            raise self._error(f"'{one_line(entry.name)}' cannot be unpacked") from error
        return data


class _Seekable:
    """What the standard library needs of a file to read the directory of an archive."""

    def __init__(self, file: ReadAhead) -> None:
        self._file = file
        self._position = 0

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        position = offset + (0, self._position, self._file.n_bytes)[whence]
        if position < 0:
            raise zipfile.BadZipFile("it points before the start of the file")
        self._position = position
        return position

    def read(self, n: int = -1) -> bytes:
        left = max(0, self._file.n_bytes - self._position)
        n_read = left if n < 0 else min(n, left)
        if n_read > _MAX_DIRECTORY_BYTES:
            raise zipfile.BadZipFile(f"it is longer than {_MAX_DIRECTORY_BYTES} bytes")
        data = self._file.read(self._position, self._position + n_read)
        self._position += n_read
        return data
