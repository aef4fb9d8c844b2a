"""The lease of a sweep in its tracking store: no two drivers write the same sweep there."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from sweeper.errors import DiskFull, UserError, disk_full_named
from sweeper.store.journal import Journal
from sweeper.store.lease import Held, Lease, sweep_lease
from sweeper.store.location import Store
from sweeper.store.opening import open_tracking

if TYPE_CHECKING:
    from sweeper.store.tracking import Tracking

T = TypeVar("T")
_PATIENCE_S, _PAUSE_S = 20.0, 0.2


def patiently(call: Callable[[], T]) -> T:
    """Call again for `_PATIENCE_S` while the store does not answer: it has answered before."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return call()
        except (Held, DiskFull):
            raise
        except UserError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE_S)


class Claim:
    """Taken before the first write, kept until `close`; the journal stops when it is lost.

    A store that several folders share is claimed before any trial runs. A store in a folder of its
    own is protected by the folder's lock, and claimed when the flusher opens it: it may also be
    reached through a tracking server.
    """

    def __init__(self, store: Store, sweep: str, journal: Journal) -> None:
        self._store, self._sweep, self._folder = store, sweep, journal.path.parent
        self._tracking: Tracking | None = None
        self._lease: Lease | None = None
        self._is_ours = False
        self._held: Held | None = None
        journal.guard(self._check)

    @property
    def notice(self) -> str:
        """A line on a driver that was silent for too long, "" if there was none."""
        return self._lease.notice if self._lease else ""

    def take(self, tracking: Tracking | None = None) -> None:
        """Take the lease, unless it is ours already.

        Raises:
            Held: another driver has it.
            UserError: the store does not answer.
            DiskFull: its database has no room.
        """
        if self._is_ours:
            return
        tracking = self._tracking = tracking or self._tracking or open_tracking(self._store)
        database = self._store.database if self._store.is_local_file else "the tracking store"
        with disk_full_named(database), tracking.results.answering():
            self._lease = self._lease or sweep_lease(
                tracking.writer.lease_slot(self._sweep), self._folder, f"sweep {self._sweep}"
            )
            try:
                self._lease.claim()
            except Held as held:
                self._held = held
                raise
        self._is_ours = True

    def close(self) -> None:
        """Let another driver have the sweep."""
        if self._lease is not None:
            self._lease.release()

    def _check(self) -> None:
        if self._held is not None:
            raise self._held
        if self._lease is not None:
            self._lease.check()
