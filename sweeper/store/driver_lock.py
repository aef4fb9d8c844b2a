"""Who drives a sweep: one driver at a time, on one machine or on several that share a folder."""

from __future__ import annotations

import fcntl
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from sweeper.errors import UserError, disk_full_named
from sweeper.records import Record

HEARTBEAT_S, STALE_S = 5.0, 60.0


class Holder(Record):
    """The driver that a lock file names."""

    pid: int
    host: str
    token: str

    def __str__(self) -> str:
        return f"pid {self.pid} on {self.host}"


class DriverLock:
    """Held from construction to `release`.

    On one machine `flock` decides, so that a dead driver holds nothing. Where it may not reach (a
    shared folder, another host) the heartbeat does: the file's mtime, renewed every `HEARTBEAT_S`
    and believed for `STALE_S`.

    Attributes:
        notice: a line on a lock that was taken over from another host ("" if none was).

    Raises:
        UserError: another driver holds the sweep; its pid, host and heartbeat are named.
    """

    def __init__(
        self, path: Path, *, host: str | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._path, self._clock = path, clock
        self._me = Holder(
            pid=os.getpid(), host=host or socket.gethostname(), token=uuid.uuid4().hex
        )
        self.notice, self._usurper = "", ""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._take()
        except BaseException:
            os.close(self._descriptor)
            raise
        self._released = threading.Event()
        threading.Thread(target=self._keep_beating, name="heartbeat", daemon=True).start()

    def beat(self) -> None:
        """Renew the heartbeat, unless another driver has taken the lock over."""
        holder = self._holder()
        if holder is not None and holder.token != self._me.token:
            self._usurper = str(holder)
        elif not self._usurper:
            os.utime(self._path)

    def check(self) -> None:
        """Raise UserError if another driver took over while this one seemed dead."""
        if self._usurper:
            raise UserError(
                f"another driver has taken this sweep over ({self._usurper})",
                where=str(self._path.parent),
                hint="this one was silent for too long and writes no more",
            )

    def release(self) -> None:
        """Let another driver have the sweep."""
        self._released.set()
        if not self._usurper:
            os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)

    def _take(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            reached = True
        except BlockingIOError:
            raise self._refusal(self._holder()) from None
        except OSError:  # a filesystem without locks: only the heartbeat can tell
            reached = False
        holder = self._holder()
        if holder is not None and not (reached and holder.host == self._me.host):
            if self._silence_s() < STALE_S:
                raise self._refusal(holder)
            self.notice = (
                f"{self._path.parent}: taken over from the driver {holder}, which has been silent "
                f"for {self._silence_s():.0f} s"
            )
        with disk_full_named(self._path):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, self._me.model_dump_json().encode(), 0)

    def _holder(self) -> Holder | None:
        return _named(self._path)

    def _silence_s(self) -> float:
        return abs(self._clock() - self._path.stat().st_mtime)

    def _refusal(self, holder: Holder | None) -> UserError:
        named = f"{holder}, heartbeat {self._silence_s():.0f} s ago" if holder else "just started"
        return UserError(
            f"another driver is running this sweep ({named})",
            where=str(self._path.parent),
            hint="wait for it or end it; the same command then goes on",
        )

    def _keep_beating(self) -> None:
        while not self._released.wait(HEARTBEAT_S):
            try:
                self.beat()
            except OSError:  # the folder is out of reach for now
                continue


def living_driver(path: Path) -> str:
    """Who holds the lock file `path` now, "" if nobody does; nothing is taken."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return ""
    try:
        reached = True
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return str(_named(path) or "just started")
    except OSError:
        reached = False
    finally:
        os.close(descriptor)
    holder = _named(path)
    is_dead = holder is None or (reached and holder.host == socket.gethostname())
    return "" if is_dead or time.time() - path.stat().st_mtime >= STALE_S else str(holder)


def _named(path: Path) -> Holder | None:
    try:
        return Holder.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):  # released, or written by halves
        return None
