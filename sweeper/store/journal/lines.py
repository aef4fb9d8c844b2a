"""The lines of a journal file, as our writer, a crash, an editor or git left them.

A record is `crc32 json`. What may stand around it does not matter: line ends of any system, a byte
order mark, blank lines, a missing last line end. Where lines were joined, each record is found.
"""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

# Also the zeros that a file system leaves where a machine lost power. None of these can begin or
# end a record.
_NO_TEXT = b" \t\r\n\0\xef\xbb\xbf"
# Where a record begins. JSON writes a quote within a text as \", so no text holds this.
_BEGINNING = re.compile(rb'(?=[0-9a-f]{8} \{"event":)')
_HALF_RECORD = re.compile(rb"[0-9a-f]{1,8}|[0-9a-f]{8} (\{[^\r\n\0]*)?")


class Line(NamedTuple):
    """A record of a journal, or an unreadable line.

    Attributes:
        number: line number in the file, from 1.
        text: its bytes, with the line end.
        payload: the JSON if the checksum is right, else None.
    """

    number: int
    text: bytes
    payload: bytes | None

    @property
    def record(self) -> bytes:
        """The line of an intact record as our writer would write it."""
        return self.text.strip(_NO_TEXT) + b"\n"


def read_lines(path: Path) -> Iterator[Line]:
    """Every record and every unreadable line of a journal; blank lines are skipped."""
    n_lines = 0
    with suppress(FileNotFoundError), path.open("rb") as file:
        for text in file:
            for line in text.splitlines(keepends=True):  # a lone CR ends a line too
                n_lines += 1
                yield from _records(n_lines, line)


def torn_text(last: Line | None) -> bytes:
    """The last line of a journal if it is half a record, as a crash of the writer leaves it.

    Text that does not begin like a record is damage, not half a record.
    """
    if last is None or last.payload is not None or not _HALF_RECORD.fullmatch(last.text):
        return b""
    return last.text


def next_copy(path: Path) -> Path:
    """Path for the next copy of a damaged journal; earlier copies are not overwritten."""
    endings = itertools.chain([""], (f".{n}" for n in itertools.count(1)))
    names = (path.with_suffix(f".damaged{ending}") for ending in endings)
    return next(name for name in names if not name.exists())


def lines_named(numbers: Sequence[int]) -> str:
    """`line 3`, or `7 lines (1, 2, 3, 4, 5, ...)`."""
    shown = ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "")
    return f"line {shown}" if len(numbers) == 1 else f"{len(numbers)} lines ({shown})"


def _records(number: int, text: bytes) -> Iterator[Line]:
    """The record of a line: several if lines were joined, none if it is blank."""
    payload = _payload(text)
    if payload is not None:
        yield Line(number, text, payload)
        return
    for part in _BEGINNING.split(text):
        if part.strip(_NO_TEXT):
            yield Line(number, part, _payload(part))


def _payload(text: bytes) -> bytes | None:
    """The JSON of an intact record; None if the checksum is missing or wrong."""
    checksum, _, payload = text.strip(_NO_TEXT).partition(b" ")
    try:
        is_whole = len(checksum) == 8 and int(checksum, 16) == zlib.crc32(payload)
    except ValueError:
        return None
    return payload if is_whole else None
