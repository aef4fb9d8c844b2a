"""A lease names the driver of a sweep where every driver reads it; a heartbeat renews it.

The record is kept in a `Slot`, which changes only by compare-and-swap: a tag of the experiment in
the tracking store (`tracking/lease_slot.py`), or a file next to the journal (`file_slot.py`).

Clocks of hosts differ, so an old heartbeat alone does not prove that a driver is dead. The record
is watched for `WATCH_S` and taken over only if no heartbeat arrives in that time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from sweeper.errors import UserError
from sweeper.store.lease.holder import STALE_S, Holder, parse, this_machine, this_process

HEARTBEAT_S, WATCH_S = 5.0, 12.0
_POLL_S = 1.0
_RELEASE_TIMEOUT_S = 2.0


class Held(UserError):
    """Another driver holds the sweep."""


class TakenOver(UserError):
    """Another driver has taken the sweep over: this one must stop writing."""


class Slot(Protocol):
    """A place that stores one line of text ("" at first).

    Attributes:
        settle_s: how long after a swap the text can still be lost to a concurrent one; 0 where
            `swap` is atomic.
    """

    settle_s: float

    def read(self) -> str:
        """The text."""

    def swap(self, old: str, new: str) -> bool:
        """Replace `old` by `new`; false if the text is no longer `old`."""


class Lease:
    """Held from `claim` to `release`, as long as the heartbeat finds our record in the slot.

    `place` names the sweep in messages. `is_dead(holder)` is true for a holder that is known to be
    dead although its heartbeat is recent.

    Attributes:
        notice: a line if the lease was taken over from a silent driver, else "".
    """

    def __init__(
        self,
        slot: Slot,
        folder: Path,
        *,
        place: str,
        is_dead: Callable[[Holder], bool] = lambda holder: False,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._slot, self._place, self._is_dead = slot, place, is_dead
        self._clock, self._sleep = clock, sleep
        self._me = this_process(folder)
        self.notice, self._successor = "", ""
        self._released = threading.Event()
        self._heartbeat = threading.Thread(target=self._keep_beating, name="heartbeat", daemon=True)

    def claim(self) -> None:
        """Take the lease and start its heartbeat. May be called again if the store failed.

        Raises:
            Held: another driver holds it.
        """
        while True:
            text = self._slot.read()
            holder = parse(text)
            if holder.token == self._me.token:  # our swap succeeded, but its answer was lost
                if self._is_still_ours(text):
                    break
                continue
            if holder.token and not (holder.has_died or self._is_dead(holder)):
                self._require_silence(text, holder)
            mine = self._renewed(holder.generation + 1)
            if self._slot.swap(text, mine) and self._is_still_ours(mine):
                break
        self._heartbeat.start()

    def beat(self) -> None:
        """Renew the heartbeat, unless another driver has taken the lease over.

        If the record is gone (the store was restored from a copy), claim it again.
        """
        text = self._slot.read()
        holder = parse(text)
        if holder.token == self._me.token:
            self._slot.swap(text, self._renewed(holder.generation))
        elif holder.token:
            self._successor = str(holder)
        else:
            self._slot.swap(text, self._renewed(holder.generation + 1))

    def check(self) -> None:
        """Raise TakenOver if another driver took over while this one seemed dead."""
        if self._successor:
            raise TakenOver(
                f"another driver has taken this sweep over ({self._successor})",
                where=self._place,
                hint="this driver missed its heartbeat and has stopped writing",
            )

    def release(self) -> None:
        """Release the sweep. If the store does not answer, the lease expires instead."""
        self._released.set()
        if self._heartbeat.ident is None:
            return
        self._heartbeat.join(_RELEASE_TIMEOUT_S)
        if not self._heartbeat.is_alive():  # if it is, the store does not answer
            with suppress(Exception):
                text = self._slot.read()
                if (holder := parse(text)).token == self._me.token:
                    self._slot.swap(text, _text(Holder(generation=holder.generation)))

    def _require_silence(self, text: str, holder: Holder) -> None:
        """Raise Held unless the holder's heartbeat is old and none arrives while we watch."""
        silence_s = holder.silence_s(self._clock())
        if silence_s < STALE_S:
            raise refusal(self._place, holder, now_s=self._clock())
        for _ in range(round(WATCH_S / _POLL_S)):
            self._sleep(_POLL_S)
            if (now := self._slot.read()) != text:
                if (alive := parse(now)).token:
                    raise refusal(self._place, alive, now_s=alive.beat_ms / 1000)
                return
        self.notice = (
            f"{self._place}: taken over from the driver {holder}, "
            f"which has sent no heartbeat for {silence_s:.0f} s"
        )

    def _is_still_ours(self, mine: str) -> bool:
        """Whether our record is still there once concurrent writes have settled."""
        if not self._slot.settle_s:
            return True
        self._sleep(self._slot.settle_s)
        return self._slot.read() == mine

    def _renewed(self, generation: int) -> str:
        beat_ms = round(self._clock() * 1000)
        return _text(self._me.model_copy(update={"generation": generation, "beat_ms": beat_ms}))

    def _keep_beating(self) -> None:
        while not self._released.wait(HEARTBEAT_S) and not self._successor:
            with suppress(Exception):  # the store is unreachable for now: the sweep continues
                self.beat()


def sweep_lease(slot: Slot, folder: Path, place: str) -> Lease:
    """The lease of a sweep in a tracking store; the caller holds the lock of its `folder`."""

    def is_dead(holder: Holder) -> bool:  # otherwise it would hold the lock of the folder
        return (holder.machine, holder.folder) == (this_machine(), str(folder))

    return Lease(slot, folder, place=place, is_dead=is_dead)


def refusal(place: str, holder: Holder, *, now_s: float | None = None) -> Held:
    """The error for a second driver of a sweep."""
    named = "just started"
    if holder.token:
        named = f"{holder}, heartbeat {holder.silence_s(now_s):.0f} s ago"
    return Held(
        f"another driver is running this sweep ({named})",
        where=place,
        hint="wait for it or end it, then rerun the same command to resume",
    )


def _text(holder: Holder) -> str:
    return holder.model_dump_json()
