from __future__ import annotations

import threading
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sweeper.run import shipping
from sweeper.run.shipping import ship_rest, unshipped_line
from sweeper.store.artifacts import StagingArea
from sweeper.store.flusher import Flusher
from sweeper.store.journal import Journal, Reported, Started


class HangingDatabase:
    """A database that answers nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **options: threading.Event().wait()


@pytest.fixture
def flusher(tmp_path: Path) -> Flusher:
    """A flusher whose store hangs over three events."""
    flusher = Flusher(
        lambda: (HangingDatabase(), "parent"),  # type: ignore[arg-type,return-value]
        sweep="bowls",
        journal=Journal(tmp_path),
        staging=StagingArea(tmp_path / "staged"),
    )
    flusher.put(Started(key="a"))
    flusher.put(Reported(key="a", step=1, metrics={}))
    flusher.put(Reported(key="a", step=2, metrics={}))
    return flusher


def test_who_waits_for_the_store_is_told_once_what_for(
    flusher: Flusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "_SAY_AFTER_S", 0.0)
    monkeypatch.setattr("sweeper.store.flusher._LOOK_EVERY_S", 0.01)
    flusher._specs = dict.fromkeys("a")  # type: ignore[assignment]
    flusher.start()
    said = StringIO()
    n_left = ship_rest(flusher, Console(file=said), "http://team:5000", timeout_s=0.1)
    assert n_left == 3
    [line] = said.getvalue().splitlines()
    assert line.startswith("3 journal events are on their way to http://team:5000; waiting 0 s")
    assert line.endswith("Ctrl-C ends that")


def test_what_is_not_shipped_is_said_with_the_reason_and_the_way_on() -> None:
    where = "http://team:5000"
    refused = unshipped_line(3, "permission denied", where, refused=True)
    assert refused.endswith("; remove the cause, then rerun the same command to send them")
    assert unshipped_line(3, "connection refused", where, refused=False) == (
        "3 journal events are not in http://team:5000 yet (connection refused); "
        "rerun the same command to send them"
    )
