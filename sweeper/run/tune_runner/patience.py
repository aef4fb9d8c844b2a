"""What to do while trials wait for workers that do not come."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

WORKER_TIMEOUT_S = 120.0
_SAY_EVERY_S = 60.0


class Patience:
    """Watches a run in which no trial runs although some wait.

    On a cluster that may be right (nodes are on their way), so `on_wait` is called every minute
    with the minutes so far. On one machine, `on_end` is called after two minutes.
    """

    def __init__(
        self,
        *,
        on_wait: Callable[[int], None] | None = None,
        on_end: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_wait, self._on_end, self._clock = on_wait, on_end, clock
        self._since, self._next_s = math.nan, _SAY_EVERY_S

    def check(self, *, n_waiting: int, n_running: int) -> None:
        """Called again and again while trials are under way."""
        if n_running or not n_waiting or math.isnan(self._since):
            self._since, self._next_s = self._clock(), _SAY_EVERY_S
            return
        waited_s = self._clock() - self._since
        if self._on_end and waited_s > WORKER_TIMEOUT_S:
            self._on_end()
        if self._on_wait and waited_s > self._next_s:
            self._on_wait(round(waited_s / 60))
            self._next_s += _SAY_EVERY_S
