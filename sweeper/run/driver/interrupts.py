"""What signals mean for a running sweep: finish, stop within a grace period, or stop at once.

| signal | effect |
|---|---|
| Ctrl-C | no new trial starts; running trials finish |
| Ctrl-C again, SIGTERM, SIGHUP | running trials write a checkpoint and end, within a grace period |
| a third Ctrl-C | running trials end now |

Signal handlers only record the request. The sweep's own loop acts on it, so that nothing is left
half done.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 143}
_CTRL_C_GRACE_S, _TERM_GRACE_S = 5.0, 20.0
# A terminal sends Ctrl-C to the whole process group, and wrappers then forward it once more.
_ECHO_S = 0.05


class TrialInterrupted(BaseException):
    """Ends a trial that will be resumed later. No kind's `except Exception` catches it."""


class Interrupts:
    """The signals that came while the block ran; outside the main thread none is caught.

    `SWEEPER_GRACE_S` in the environment is the grace after SIGTERM and SIGHUP (default 20 s).

    Attributes:
        finishing: no new trial is to start.
        exit_code: 130 or 143 once a signal came, else 0.
        listener: called after each signal, in a thread of its own.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._deadline, self._last_ctrl_c = math.inf, -math.inf
        self._breaking = False
        self._earlier: dict[signal.Signals, signal._HANDLER] = {}
        self._terminals: list[int] = []
        self.finishing = False
        self.exit_code = 0
        self.listener: Callable[[], None] = lambda: None

    @property
    def stopping(self) -> bool:
        """Whether running trials should write a checkpoint and end."""
        return self._deadline < math.inf

    @property
    def grace_left_s(self) -> float:
        """Seconds until running trials are killed; infinite while nobody asked to stop."""
        return max(0.0, self._deadline - self._clock())

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._terminals = [fd for fd in (1, 2) if os.isatty(fd)]
            self._earlier = {number: signal.getsignal(number) for number in _SIGNALS}
            for number, handler in self._earlier.items():
                if handler is not signal.SIG_IGN:  # as nohup leaves SIGHUP
                    signal.signal(number, self.receive)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)

    def receive(self, number: int, frame: FrameType | None = None) -> None:
        """Take note of a signal."""
        now = self._clock()
        if number == signal.SIGINT:
            echo, self._last_ctrl_c = now - self._last_ctrl_c < _ECHO_S, now
            if echo:
                return
            grace_s = 0.0 if self.stopping else _CTRL_C_GRACE_S
            grace_s = grace_s if self.finishing else math.inf
        else:
            grace_s = float(os.environ.get("SWEEPER_GRACE_S", _TERM_GRACE_S))
        if number == signal.SIGHUP:
            self._leave_terminal()
        self.finishing = True
        self.exit_code = max(self.exit_code, _EXIT_CODES[signal.Signals(number)])
        self._deadline = min(self._deadline, now + grace_s)
        if self._breaking:
            self._set_alarm()
        threading.Thread(target=self.listener, daemon=True).start()

    @contextmanager
    def breaking(self) -> Iterator[None]:
        """Inside the block, `TrialInterrupted` is raised in the main thread when grace is over.

        It cannot break into native code that does not return.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        earlier = signal.signal(signal.SIGALRM, _interrupt)
        self._breaking = True
        self._set_alarm()
        try:
            yield
        finally:
            self._breaking = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, earlier)

    def _set_alarm(self) -> None:
        if self.stopping:
            signal.setitimer(signal.ITIMER_REAL, max(1e-3, self.grace_left_s))

    def _leave_terminal(self) -> None:
        """The terminal is gone: writing to it would fail from now on."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in self._terminals:
            os.dup2(nowhere, descriptor)
        os.close(nowhere)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise TrialInterrupted


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep our handlers through a block that starts a service of its own (Ray).

    What starts inside does not die of a hangup of the terminal, since it inherits that SIGHUP is
    blocked.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    earlier = {number: signal.getsignal(number) for number in _SIGNALS}
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
