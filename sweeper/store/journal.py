"""The driver's write-ahead log of one sweep: append-only, fsynced, private to one driver.

Each line is `crc32 json`. What a crash leaves half-written at the end is dropped on the next
opening. The runners' controllers only ever append here; shipping to the database is the flusher's.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from sweeper.errors import UserError
from sweeper.records import Outcome, Record, TrialSpec, now_ms


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


class Shipped(Record):
    """The database holds this trial as `run_id`."""

    event: Literal["shipped"] = "shipped"
    key: str
    run_id: str


Event = Suggested | Started | Reported | Finished | Reused | Shipped
_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


class Journal:
    """The log of one sweep, held by one driver at a time.

    Raises:
        UserError: another driver holds the sweep (its host and pid are named).
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "journal.log"
        self._lock = _take_lock(folder / "driver.lock")
        self.dropped_bytes = _drop_torn_tail(self.path)
        self._file = self.path.open("ab")
        self._writing = threading.Lock()

    def append(self, event: Event) -> None:
        """Make `event` durable before returning."""
        payload = event.model_dump_json().encode()
        line = b"%08x %s\n" % (zlib.crc32(payload), payload)
        with self._writing:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())

    def events(self) -> Iterator[Event]:
        """Every event so far, oldest first."""
        return read_journal(self.path)

    def close(self) -> None:
        """Let another driver take the sweep."""
        self._file.close()
        os.close(self._lock)


def read_journal(path: Path) -> Iterator[Event]:
    """The whole records of a journal; a torn or damaged line is passed over."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if (event := _parse(line)) is not None:
                yield event


def _parse(line: bytes) -> Event | None:
    checksum, _, payload = line.rstrip(b"\n").partition(b" ")
    try:
        if not line.endswith(b"\n") or int(checksum, 16) != zlib.crc32(payload):
            return None
        return _EVENT.validate_json(payload)
    except (ValueError, ValidationError):
        return None


def _drop_torn_tail(path: Path) -> int:
    if not path.exists():
        return 0
    good = position = 0
    with path.open("rb") as file:
        for line in file:
            position += len(line)
            if _parse(line) is not None:
                good = position
    torn = position - good
    if torn:
        os.truncate(path, good)
    return torn


def _take_lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = path.read_text() or "{}"
        os.close(descriptor)
        named = json.loads(holder)
        raise UserError(
            f"another driver is running this sweep (pid {named.get('pid', '?')} on "
            f"{named.get('host', '?')})",
            where=str(path.parent),
            hint="wait for it or end it; the same command then goes on",
        ) from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
    return descriptor
