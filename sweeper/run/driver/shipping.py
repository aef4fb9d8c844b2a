"""Waiting for the database at the end of a sweep, and saying what for."""

from __future__ import annotations

import time
from contextlib import nullcontext

from rich.console import Console
from rich.text import Text

from sweeper.errors import DiskFull, masked
from sweeper.store.journal import Flusher

# A healthy store may take this long: its first connection alone takes seconds.
_SAY_AFTER_S = 10.0


def ship_rest(flusher: Flusher, console: Console, where: str, *, timeout_s: float) -> int:
    """Wait until everything is in the database `where`, at most `timeout_s`; Ctrl-C ends the wait.

    Returns how many events are not.
    """
    begun, said = time.monotonic(), False
    # In a notebook, a spinner of rich's would ask for widgets.
    with console.status("") if console.is_terminal else nullcontext() as status:

        def on_wait(n_left: int, why: str) -> None:
            nonlocal said
            waited_s = time.monotonic() - begun
            if not n_left or (not why and waited_s < _SAY_AFTER_S):
                return
            because = f" ({why})" if why else ""
            line = (
                f"writing the last {n_left} journal events to {where}{because}; "
                f"stops after {timeout_s:.0f} s, or on Ctrl-C"
            )
            if status is not None:
                status.update(Text(line))
            elif not said:
                say(console, line)
            said = True

        return flusher.close(timeout_s, on_wait)


def unshipped_line(n_unshipped: int, why: str, where: str, *, refused: bool) -> str:
    """What the user reads where not everything was shipped; `refused` is for good."""
    because = f" ({why})" if why else ""
    first = "remove the cause, then " if refused else ""
    return (
        f"{n_unshipped} journal events are not in {where} yet{because}; {first}rerun the same "
        "command to send them"
    )


def raise_disk_full(flusher: Flusher) -> None:
    """Raise `DiskFull` if that is what keeps events from the database: the user can mend it."""
    if isinstance(flusher.trouble, DiskFull):
        raise flusher.trouble


def say(console: Console, line: str) -> None:
    """Print one line as it is, but for passwords."""
    console.print(masked(line), markup=False, highlight=False, soft_wrap=True)
