"""The driver's write-ahead log of one sweep: append-only, fsynced, private to one driver.

Each line is `crc32 json`. What a crash leaves half-written at the end is dropped on the next
opening, and said. The runners' controllers only ever append here; shipping to the database is the
flusher's.
"""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, TypeAdapter, ValidationError

from sweeper.errors import DiskFull, UserError, disk_full_named, lacks_space
from sweeper.records import Outcome, Record, Scalar, TrialSpec, now_ms
from sweeper.store.driver_lock import DriverLock


class Proposed(Record):
    """The search asked for an assignment; `keys` are its real trials, one a seed (no nulls).

    Only a search that adapts says so: what another asks for stands in the sweep file.
    """

    event: Literal["proposed"] = "proposed"
    number: int
    assignment: dict[str, Scalar]
    keys: tuple[str, ...]


class Suggested(Record):
    """The search chose this trial."""

    event: Literal["suggested"] = "suggested"
    spec: TrialSpec


class Started(Record):
    """A worker began this trial."""

    event: Literal["started"] = "started"
    key: str
    at_ms: int = Field(default_factory=now_ms)


class Reported(Record):
    """A running trial reported progress."""

    event: Literal["reported"] = "reported"
    key: str
    step: int
    metrics: dict[str, float]
    at_ms: int = Field(default_factory=now_ms)


class Finished(Record):
    """A trial ended, well or badly."""

    event: Literal["finished"] = "finished"
    outcome: Outcome


class Reused(Record):
    """A trial that another sweep ran already: its outcome stands for `spec` too."""

    event: Literal["reused"] = "reused"
    spec: TrialSpec
    outcome: Outcome
    run_id: str


class Abandoned(Record):
    """The last attempt at this trial left nothing that counts; a later one may.

    `attempt_s` is its wall time, None where nobody saw it end.
    """

    event: Literal["abandoned"] = "abandoned"
    key: str
    reason: str
    attempt_s: float | None = None
    at_ms: int = Field(default_factory=now_ms)


class Shipped(Record):
    """The database holds this trial as `run_id` ("" where it needs no run).

    It holds it up to the end that is of `ended_ms`, or everything before this record where that is
    0: while one attempt is shipped, the next may have begun.
    """

    event: Literal["shipped"] = "shipped"
    key: str
    run_id: str
    ended_ms: int = 0


Event = Proposed | Suggested | Started | Reported | Finished | Reused | Abandoned | Shipped
_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


class Journal:
    """The log of one sweep, held by one driver at a time.

    Attributes:
        path: the file.
        earlier: what earlier drivers wrote, oldest first.
        notices: a line each on what was found wrong with the file or its lock.

    Raises:
        UserError: another driver holds the sweep (its pid, host and heartbeat are named).
        DiskFull: there is no room for the lock.
    """

    def __init__(self, folder: Path) -> None:
        with disk_full_named(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = DriverLock(folder / "driver.lock")
        self._guards: list[Callable[[], None]] = [self._lock.check]
        self.path = folder / "journal.log"
        found = _read(self.path)
        self.earlier, self._end = found.events, found.end
        self.notices = tuple(
            filter(None, (self._lock.notice, *(f"{self.path}: {text}" for text in found.faults)))
        )
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._closed = False
        self._writing = threading.Lock()
        self._is_torn = os.fstat(self._file).st_size > self._end
        self._drop_torn()

    def guard(self, check: Callable[[], None]) -> None:
        """Call `check` before every write; it raises UserError if none may be made any more."""
        self._guards.append(check)

    def check(self) -> None:
        """Raise UserError if another driver has taken the sweep over."""
        for check in self._guards:
            check()

    def append(self, *events: Event) -> None:
        """Make `events` durable before returning; all of them are kept, or none.

        They survive the death of this process at once, and that of the machine except for
        `Reported`, which the next event of another kind takes to the disk with it.

        Raises:
            DiskFull: there is no room. Later appends are whole again once there is.
            UserError: the file cannot be written, or another driver has taken the sweep over.
        """
        lines = b"".join(_line(event) for event in events)
        with self._writing:
            if self._closed:
                raise UserError("the journal is closed", where=str(self.path))
            self.check()
            try:
                self._drop_torn()
                self._is_torn = True
                _write(self._file, lines)
                if not all(isinstance(event, Reported) for event in events):
                    os.fsync(self._file)
            except OSError as error:
                with suppress(OSError):  # else the next append does it, or the next driver
                    self._drop_torn()
                if lacks_space(error):
                    raise DiskFull(self.path) from error
                raise UserError(f"cannot write: {error.strerror}", where=str(self.path)) from error
            self._is_torn = False
            self._end += len(lines)

    def events(self) -> Iterator[Event]:
        """Every event so far, oldest first."""
        return iter(_read(self.path).events)

    def close(self) -> None:
        """Let another driver take the sweep."""
        with self._writing:
            self._closed = True
            os.close(self._file)
            self._lock.release()

    def keep_only(self, wanted: Callable[[Event], bool]) -> Path:
        """Drop unreadable lines and unwanted events; returns where the old file is kept.

        Raises:
            DiskFull: there is no room for the new one; the old one stands.
        """
        aside, kept = self.path.with_suffix(".partial"), self.path.with_suffix(".damaged")
        with self._writing, disk_full_named(self.path):
            self.check()
            lines = b"".join(_line(event) for event in self.events() if wanted(event))
            with aside.open("wb") as file:
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
            kept.unlink(missing_ok=True)
            os.link(self.path, kept)
            aside.replace(self.path)
            os.close(self._file)
            self._file = os.open(self.path, os.O_RDWR | os.O_APPEND)
            self._end, self._is_torn = len(lines), False
        return kept

    def _drop_torn(self) -> None:
        """Cut off what a crash or a failed write left behind the last whole record."""
        if self._is_torn:
            os.ftruncate(self._file, self._end)
            self._is_torn = False


def read_journal(path: Path) -> Iterator[Event]:
    """The whole records of a journal; a torn or damaged line is passed over."""
    return iter(_read(path).events)


def read_lines(path: Path) -> Iterator[tuple[bytes, Event | None]]:
    """Every line of a journal with its event: None where the line is torn, damaged or unknown."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        for line in file:
            yield line, _event(line)


class _Found(NamedTuple):
    """A journal file as read: `end` is behind the last record whose checksum holds."""

    events: tuple[Event, ...]
    end: int
    faults: tuple[str, ...]


def _read(path: Path) -> _Found:
    events: list[Event] = []
    end = position = last_whole = 0
    unread: list[int] = []
    for number, (line, event) in enumerate(read_lines(path), start=1):
        position += len(line)
        if event is not None:
            events.append(event)
        else:
            unread.append(number)
        if event is not None or _payload(line) is not None:  # whole, if maybe of another version
            end, last_whole = position, number
    faults = []
    if damaged := [number for number in unread if number <= last_whole]:
        faults.append(f"{_lines(damaged)} damaged and passed over; what follows is kept")
    if position > end:
        faults.append(f"the last record was cut short and is dropped ({position - end} bytes)")
    return _Found(tuple(events), end, tuple(faults))


def _lines(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "")
    return f"line {shown} is" if len(numbers) == 1 else f"{len(numbers)} lines ({shown}) are"


def _line(event: Event) -> bytes:
    payload = event.model_dump_json().encode()
    return b"%08x %s\n" % (zlib.crc32(payload), payload)


def _event(line: bytes) -> Event | None:
    payload = _payload(line)
    try:
        return None if payload is None else _EVENT.validate_json(payload)
    except ValidationError:
        return None


def _payload(line: bytes) -> bytes | None:
    """The JSON of a whole line; None where its checksum or its end is missing or wrong."""
    checksum, _, payload = line.rstrip(b"\n").partition(b" ")
    try:
        whole = line.endswith(b"\n") and int(checksum, 16) == zlib.crc32(payload)
    except ValueError:
        return None
    return payload if whole else None


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
