"""A driver as its lease names it, and whether it still lives."""

from __future__ import annotations

import getpass
import os
import socket
import time
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from sweeper.records import Record

STALE_S = 60.0
"""A driver whose heartbeat is older may be dead."""


class Holder(Record):
    """A driver, as recorded in its lease. A released lease keeps its generation and has no token.

    Attributes:
        machine: the running kernel; see `this_machine`.
        namespace: the process namespace of `pid` on that machine.
        folder: the sweep's folder with the driver's journal.
        generation: how often the lease has changed hands.
        beat_ms: the last heartbeat, by the driver's own clock.
    """

    user: str = ""
    host: str = ""
    machine: str = ""
    namespace: str = ""
    pid: int = 0
    folder: str = ""
    token: str = ""
    generation: int = 0
    beat_ms: int = 0

    def __str__(self) -> str:
        return f"{self.user}@{self.host}, pid {self.pid}"

    @property
    def has_died(self) -> bool:
        """Whether its process ran here and is gone."""
        is_here = (self.machine, self.namespace) == (this_machine(), _namespace())
        return is_here and not _is_alive(self.pid)

    def silence_s(self, now_s: float | None = None) -> float:
        """Seconds since the last heartbeat. Clocks differ: one in the future counts as old too."""
        return abs((time.time() if now_s is None else now_s) - self.beat_ms / 1000)


def this_process(folder: Path = Path()) -> Holder:
    """This process as a holder, with a new token."""
    return Holder(
        user=user_name(),
        host=socket.gethostname(),
        machine=this_machine(),
        namespace=_namespace(),
        pid=os.getpid(),
        folder=str(folder),
        token=uuid.uuid4().hex,
    )


def living(text: str) -> str:
    """The driver that a record names, if it seems to be alive; "" otherwise."""
    holder = parse(text)
    is_dead = not holder.token or holder.has_died or holder.silence_s() >= STALE_S
    return "" if is_dead else str(holder)


def parse(text: str) -> Holder:
    """The record in a slot; an unreadable one counts as released."""
    try:
        return Holder.model_validate_json(text)
    except ValidationError:
        return Holder()


@cache
def this_machine() -> str:
    """Id of the running kernel's boot; the host name if there is none."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return socket.gethostname()


def user_name() -> str:
    """The user of this process, by number if the system knows no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without an entry
        return f"uid-{os.getuid()}"


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
