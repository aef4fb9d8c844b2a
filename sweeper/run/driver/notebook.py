"""A line of progress in a notebook cell, drawn anew in place."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from html import escape
from importlib import import_module
from types import TracebackType
from typing import Any

from rich.console import Console, RenderableType

_PERIOD_S = 0.5
_WIDTH = 110


class NotebookLive:
    """Shows what `draw` returns under the running cell, twice a second, until the block ends.

    It needs no widgets: IPython updates a displayed object by its id.
    """

    def __init__(self, draw: Callable[[], RenderableType], period_s: float = _PERIOD_S) -> None:
        self._draw, self._period_s = draw, period_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._redraw, daemon=True)
        self._shown: Any = None

    def __enter__(self) -> NotebookLive:
        display = import_module("IPython.display").display  # is loaded where there is a notebook
        self._shown = display(self._content(), raw=True, display_id=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._update()

    def _redraw(self) -> None:
        while not self._ended.wait(self._period_s):
            self._update()

    def _update(self) -> None:
        if self._shown is not None:  # None where the front end cannot update
            self._shown.update(self._content(), raw=True)

    def _content(self) -> dict[str, str]:
        console = Console(file=io.StringIO(), width=_WIDTH, force_jupyter=False, no_color=True)
        with console.capture() as captured:
            console.print(self._draw())
        text = captured.get().rstrip()
        return {"text/plain": text, "text/html": f"<pre>{escape(text)}</pre>"}
