"""The driver's write-ahead log of one sweep: append-only, fsynced, private to one driver.

Each line is `crc32 json`. A crash of the writer leaves at most half a record at the end; the next
driver moves it to `journal.torn`. Nothing else is removed on opening. Changes by editors and git
(line ends, a byte order mark, blank lines, joined lines) do no harm. Unreadable lines are skipped;
they stay until `fsck --repair` rewrites the file and keeps a copy. Runners only append here; the
flusher ships the events to the database.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from sweeper.errors import DiskFull, UserError, disk_full_named, lacks_space
from sweeper.store.journal.events import Event, Reported, event_of, line_of
from sweeper.store.journal.lines import Line, lines_named, next_copy, read_lines, torn_text
from sweeper.store.lease import DriverLock

_APPENDING = os.O_RDWR | os.O_CREAT | os.O_APPEND


class Journal:
    """The log of one sweep, held by one driver at a time.

    Attributes:
        path: the file.
        earlier: events of earlier drivers, oldest first.
        notices: one line per problem with the file or its lock.
        n_torn_bytes: length of the half record that was moved to `journal.torn`.

    Raises:
        UserError: another driver holds the sweep (its pid, host and heartbeat are named), or the
            file cannot be written.
        DiskFull: no space for the lock, or to move a half record.
    """

    def __init__(self, folder: Path) -> None:
        with disk_full_named(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = DriverLock(folder / "driver.lock")
        self._guards: list[Callable[[], None]] = [self._lock.check]
        self.path = folder / "journal.log"
        self._closed, self._is_torn = False, False
        self._writing = threading.Lock()
        try:
            content = _read(self.path)
            self._file = os.open(self.path, _APPENDING, 0o644)
            self._move_torn(content.torn)
            self._end_line()
        except OSError as error:
            self._lock.release()
            if lacks_space(error):
                raise DiskFull(self.path) from error
            raise UserError(f"cannot open: {error.strerror}", where=str(self.path)) from error
        self._end = os.fstat(self._file).st_size
        self.earlier, self.n_torn_bytes = content.events, len(content.torn)
        self.notices = tuple(
            filter(None, (self._lock.notice, *(f"{self.path}: {text}" for text in content.faults)))
        )

    def guard(self, check: Callable[[], None]) -> None:
        """Call `check` before every write; it raises UserError if writing is no longer allowed."""
        self._guards.append(check)

    def check(self) -> None:
        """Raise UserError if another driver has taken the sweep over."""
        for check in self._guards:
            check()

    def append(self, *events: Event) -> None:
        """Make `events` durable before returning: all of them are kept, or none.

        They survive the death of this process. They also survive a loss of power, except for
        `Reported`, which is synced to disk with the next event of another kind.

        Raises:
            DiskFull: no space. Appending works again as soon as there is space.
            UserError: the file cannot be written, or another driver has taken the sweep over.
        """
        lines = b"".join(line_of(event) for event in events)
        with self._writing:
            if self._closed:
                raise UserError("the journal is closed", where=str(self.path))
            self.check()
            try:
                self._reopen_if_replaced()
                self._truncate_torn()
                self._end = os.fstat(self._file).st_size
                self._is_torn = True
                _write(self._file, lines)
                if not all(isinstance(event, Reported) for event in events):
                    os.fsync(self._file)
            except OSError as error:
                with suppress(OSError):  # if this fails, the next append or the next driver does it
                    self._truncate_torn()
                if lacks_space(error):
                    raise DiskFull(self.path) from error
                raise UserError(f"cannot write: {error.strerror}", where=str(self.path)) from error
            self._is_torn = False

    def events(self) -> Iterator[Event]:
        """Every event so far, oldest first."""
        return iter(_read(self.path).events)

    def close(self) -> None:
        """Release the lock, so that another driver can take the sweep."""
        with self._writing:
            self._closed = True
            os.close(self._file)
            self._lock.release()

    def keep_only(self, wanted: Callable[[Event], bool]) -> Path:
        """Remove unreadable lines and unwanted events; returns the path of a copy of the old file.

        Intact records of a later version are kept.

        Raises:
            DiskFull: no space for the new file and a copy of the old; the old file is unchanged.
        """
        aside, kept = self.path.with_suffix(".partial"), next_copy(self.path)
        with self._writing, disk_full_named(self.path):
            self.check()
            lines = [
                line.record
                for line in read_lines(self.path)
                if line.payload is not None and ((event := event_of(line)) is None or wanted(event))
            ]
            shutil.copyfile(self.path, aside)
            _to_disk(aside)
            aside.rename(kept)
            aside.write_bytes(b"".join(lines))
            _to_disk(aside)
            aside.replace(self.path)
            _to_disk(self.path.parent)
            self._reopen()
            self._is_torn = False
        return kept

    def _move_torn(self, torn: bytes) -> None:
        """Move half a record from the end of the file to `journal.torn`."""
        if not torn:
            return
        with self.path.with_suffix(".torn").open("ab") as file:
            file.write(torn + b"\n")
            file.flush()
            os.fsync(file.fileno())
        _to_disk(self.path.parent)
        os.ftruncate(self._file, os.fstat(self._file).st_size - len(torn))

    def _end_line(self) -> None:
        """End the last line, so that the next record starts on its own line."""
        n_bytes = os.fstat(self._file).st_size
        if n_bytes and os.pread(self._file, 1, n_bytes - 1) not in b"\r\n":
            _write(self._file, b"\n")

    def _reopen_if_replaced(self) -> None:
        """Reopen the file if it was replaced: editors write a new file under the same name."""
        ours = os.fstat(self._file)
        try:
            is_ours = os.path.samestat(ours, self.path.stat())
        except FileNotFoundError:
            is_ours = False
        if not is_ours:
            self._reopen()
            self._end_line()
            self._is_torn = False

    def _reopen(self) -> None:
        new = os.open(self.path, _APPENDING, 0o644)
        os.close(self._file)
        self._file = new

    def _truncate_torn(self) -> None:
        """Truncate what a failed write left after the last complete record."""
        if self._is_torn:
            os.ftruncate(self._file, self._end)
            self._is_torn = False


def read_journal(path: Path) -> Iterator[Event]:
    """The intact records of a journal; torn and damaged lines are skipped."""
    events = map(event_of, read_lines(path))
    return (event for event in events if event is not None)


class _Content(NamedTuple):
    """A journal file as read: its events, the half record at its end, one line per fault."""

    events: tuple[Event, ...]
    torn: bytes
    faults: tuple[str, ...]


def _read(path: Path) -> _Content:
    events: list[Event] = []
    unread: list[Line] = []
    last = None
    for last in read_lines(path):
        if (event := event_of(last)) is not None:
            events.append(event)
        else:
            unread.append(last)
    torn = torn_text(last)
    damaged = [
        line.number for line in unread if line.payload is None and not (torn and line is last)
    ]
    later = [line.number for line in unread if line.payload is not None]
    faults = []
    if damaged:
        verb = "is" if len(damaged) == 1 else "are"
        faults.append(f"{lines_named(damaged)} {verb} damaged and skipped; later records are kept")
    if later:
        faults.append(f"{lines_named(later)} of a later version skipped")
    if torn:
        faults.append(
            f"the last record was cut short and is moved to journal.torn ({len(torn)} bytes)"
        )
    return _Content(tuple(events), torn, tuple(faults))


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _to_disk(path: Path) -> None:
    """Sync a file, or the names in a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
