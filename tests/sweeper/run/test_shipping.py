from __future__ import annotations

import threading
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sweeper.run.driver import shipping
from sweeper.run.driver.shipping import ship_rest, unshipped_line
from sweeper.store.artifacts import StagingArea
from sweeper.store.journal import Flusher, Journal, Reported, Started


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
    monkeypatch.setattr("sweeper.store.journal.flusher._POLL_S", 0.01)
    flusher._specs = dict.fromkeys("a")  # type: ignore[assignment]
    flusher.start()
    said = StringIO()
    n_left = ship_rest(flusher, Console(file=said), "http://team:5000", timeout_s=0.1)
    assert n_left == 3
    [line] = said.getvalue().splitlines()
    assert line == (
        "writing the last 3 journal events to http://team:5000; stops after 0 s, or on Ctrl-C"
    )


def test_a_store_that_is_slow_to_open_is_no_news(flusher: Flusher) -> None:
    flusher._specs = dict.fromkeys("a")  # type: ignore[assignment]
    flusher.start()
    said = StringIO()
    assert ship_rest(flusher, Console(file=said), "results", timeout_s=1.5) == 3
    assert said.getvalue() == ""


def test_a_store_that_fails_is_told_at_once(
    flusher: Flusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeper.store.journal.flusher._POLL_S", 0.01)
    flusher._specs = dict.fromkeys("a")  # type: ignore[assignment]
    flusher.trouble = ConnectionError("refused")
    flusher.start()
    said = StringIO()
    assert ship_rest(flusher, Console(file=said), "http://team:5000", timeout_s=0.1) == 3
    assert said.getvalue().startswith(
        "writing the last 3 journal events to http://team:5000 (ConnectionError: refused); stops"
    )


def test_what_is_not_shipped_is_said_with_the_reason_and_the_way_on() -> None:
    where = "http://team:5000"
    refused = unshipped_line(3, "permission denied", where, refused=True)
    assert refused.endswith("; remove the cause, then rerun the same command to send them")
    assert unshipped_line(3, "connection refused", where, refused=False) == (
        "3 journal events are not in http://team:5000 yet (connection refused); "
        "rerun the same command to send them"
    )
