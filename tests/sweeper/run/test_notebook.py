"""Progress in a notebook cell."""

from __future__ import annotations

import builtins
import io
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

import sweeper
from sweeper.api.running import run_chain
from sweeper.api.sweeps import load
from sweeper.report.tables import Grid, page
from sweeper.run.driver.drive import SweepRun
from sweeper.run.driver.notebook import NotebookLive
from sweeper.run.tune_runner import TuneRunner
from sweeper.store.location import locate_store


class Notebook:
    """IPython's display: keeps what was shown last, and how often it changed."""

    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []
        self.displayed = 0
        self.n_cleared = 0
        self.changed = threading.Event()

    def HTML(self, text: str) -> str:  # noqa: N802
        return text

    def clear_output(self, wait: bool = False) -> None:
        self.n_cleared += 1

    def display(self, content: Any, *, raw: bool = False, display_id: bool = False) -> Notebook:
        self.displayed += 1
        if raw:
            assert display_id
            self.update(content, raw=True)
        return self

    def update(self, content: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.shown.append(content)
        if len(self.shown) > 2:
            self.changed.set()


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    shown = Notebook()
    names: Any = {name: getattr(shown, name) for name in ("display", "clear_output", "HTML")}
    module = SimpleNamespace(**names)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(display=module))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return shown


def test_a_cell_is_redrawn_in_place_until_the_block_ends(notebook: Notebook) -> None:
    drawn = iter(range(1000))
    with NotebookLive(lambda: f"<{next(drawn)}>", period_s=0.001):
        assert notebook.changed.wait(60)
    n_shown = len(notebook.shown)
    assert notebook.shown[0] == {"text/plain": "<0>", "text/html": "<pre>&lt;0&gt;</pre>"}
    assert notebook.shown[-1]["text/plain"] == f"<{n_shown - 1}>"
    assert not [thread for thread in threading.enumerate() if "_redraw" in thread.name]


def test_a_run_in_a_notebook_shows_a_bar(notebook: Notebook, store_dir: Path) -> None:
    bowls = load(sweeper.Sweep("bowls", kind="bowl", space={"x": [0.0, 1.0]}))
    console = Console(file=io.StringIO(), force_jupyter=True)
    [(_, done)] = run_chain(bowls, locate_store(str(store_dir)), console, in_process=True)
    assert done.n_run == 2
    last = notebook.shown[-1]["text/plain"]
    assert "2/2 trials" in last
    assert "best so far: loss_validation" in last


def test_ray_does_not_clear_the_cell(
    notebook: Notebook,
    store_dir: Path,
    tune_runner: Callable[[], TuneRunner],
    run: Callable[..., SweepRun],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ray.tune.progress_reporter.IS_NOTEBOOK", True)
    monkeypatch.setattr("ray.tune.tune.IS_NOTEBOOK", True)
    assert run("kind: bowl\nspace: {x: [0.0, 1.0]}\n", tune_runner()).n_run == 2
    assert notebook.n_cleared == 0


def test_a_text_table_is_text_in_a_notebook_too(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ZMQInteractiveShell:
        """What rich takes for a notebook."""

    monkeypatch.setattr(builtins, "get_ipython", ZMQInteractiveShell, raising=False)
    notebook.displayed = 0
    assert "1" in page(Grid(("a",), [("1",)]))
    assert notebook.displayed == 0
