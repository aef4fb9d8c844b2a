"""The lock on a sweep's folder: one driver at a time, on one machine or several that share it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from sweeper.store.file_system import flock, locks_exclude
from sweeper.store.lease.file_slot import FileSlot
from sweeper.store.lease.holder import living, parse, this_machine
from sweeper.store.lease.lease import Lease, refusal


class DriverLock:
    """Held from construction to `release`.

    A lease in the folder decides (see `lease.py`), without file locks. Where `flock` works, it also
    shows at once whether a driver on this machine is alive or dead.

    Attributes:
        notice: a line if file locks do not work here, or if the lease was taken over from a
            silent driver, else "".

    Raises:
        UserError: another driver holds the sweep; its user, host, pid and heartbeat are named.
        DiskFull: no space for the lease.
    """

    def __init__(self, path: Path) -> None:
        folder = path.parent
        slot = _slot(path)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                locks_work = flock(self._descriptor) and locks_exclude(path)
            except BlockingIOError:
                holder = parse(slot.read())
                raise refusal(str(folder), holder) from None
            self._lease = Lease(
                slot,
                folder,
                place=str(folder),
                is_dead=lambda holder: locks_work and holder.machine == this_machine(),
            )
            self._lease.claim()
        except BaseException:
            os.close(self._descriptor)
            raise
        self.notice = self._lease.notice
        if not locks_work:
            self.notice = self.notice or (
                f"{folder}: file locks have no effect on this file system; using a lease file"
            )

    def beat(self) -> None:
        """Renew the heartbeat, unless another driver has taken the lock over."""
        self._lease.beat()

    def check(self) -> None:
        """Raise TakenOver if another driver took over while this one seemed dead."""
        self._lease.check()

    def release(self) -> None:
        """Release the sweep for another driver."""
        self._lease.release()
        os.close(self._descriptor)


def living_driver(path: Path) -> str:
    """Who holds the lock file `path` now, "" if nobody does. Does not take the lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return ""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = parse(_slot(path).read())
        return str(holder) if holder.token else "just started"
    except OSError:  # a file system without locks
        pass
    finally:
        os.close(descriptor)
    return living(_slot(path).read())


def _slot(path: Path) -> FileSlot:
    return FileSlot(path.with_suffix(".lease"))
