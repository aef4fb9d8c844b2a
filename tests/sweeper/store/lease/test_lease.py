"""A lease has one holder, whatever the clocks say and whoever looks at the same moment."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from sweeper.store.lease import Held, Holder, Lease, TakenOver, living, parse
from sweeper.store.lease.file_slot import FileSlot
from sweeper.store.lease.holder import STALE_S
from sweeper.store.lease.lease import WATCH_S
from sweeper.store.tracking import Tracking

NOW_S = 1_000_000.0


class MemorySlot:
    """A slot in this process."""

    def __init__(self, text: str = "", settle_s: float = 0.0) -> None:
        self.text, self.settle_s = text, settle_s

    def read(self) -> str:
        return self.text

    def swap(self, old: str, new: str) -> bool:
        if self.text != old:
            return False
        self.text = new
        return True


def record(silent_s: float = 0.0, **values: Any) -> str:
    """A lease of a driver on another host, last renewed so long ago."""
    beat_ms = round((NOW_S - silent_s) * 1000)
    theirs = {"user": "ada", "host": "elsewhere", "machine": "other", "pid": 12, "token": "theirs"}
    return Holder(**(theirs | {"generation": 3, "beat_ms": beat_ms} | values)).model_dump_json()


def lease(slot: Any, **options: Any) -> Lease:
    options = {"clock": lambda: NOW_S, "sleep": lambda seconds: None} | options
    return Lease(slot, Path("/results/sweeps/bowls"), place="sweep bowls", **options)


@pytest.fixture(params=["memory", "file", "database"])
def slot(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Every slot in turn; the server's is in the system tests."""
    if request.param == "memory":
        return MemorySlot()
    if request.param == "file":
        return FileSlot(tmp_path / "driver.lease")
    tracking: Tracking = request.getfixturevalue("tracking")
    return tracking.writer.lease_slot("bowls")


def test_a_slot_changes_only_from_what_it_was(slot: Any) -> None:
    assert slot.read() == ""
    assert slot.swap("", "first")
    assert not slot.swap("", "second")
    assert not slot.swap("other", "second")
    assert slot.read() == "first"
    assert slot.swap("first", "second")
    assert slot.read() == "second"


def test_a_free_lease_is_taken_renewed_and_released(slot: Any) -> None:
    mine = lease(slot)
    mine.claim()
    assert (parse(slot.read()).pid, parse(slot.read()).generation) == (os.getpid(), 1)
    mine._clock = lambda: NOW_S + 5
    mine.beat()
    assert parse(slot.read()).beat_ms == round((NOW_S + 5) * 1000)
    mine.check()
    mine.release()
    assert (parse(slot.read()).token, parse(slot.read()).generation) == ("", 1)
    again = lease(slot)
    again.claim()
    assert parse(slot.read()).generation == 2
    again.release()


def test_of_many_that_claim_at_once_one_gets_it(slot: Any) -> None:
    barrier, leases = threading.Barrier(8), [lease(slot) for _ in range(8)]
    got: list[Lease] = []

    def claim(mine: Lease) -> None:
        barrier.wait()
        try:
            mine.claim()
        except Held:
            return
        got.append(mine)

    threads = [threading.Thread(target=claim, args=(mine,)) for mine in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1
    assert parse(slot.read()).token == got[0]._me.token
    got[0].release()


def test_a_second_driver_is_refused_and_told_who_has_the_sweep() -> None:
    slot = MemorySlot(record(silent_s=3))
    with pytest.raises(Held) as refused:
        lease(slot).claim()
    assert str(refused.value) == (
        "sweep bowls: another driver is running this sweep (ada@elsewhere, pid 12, heartbeat 3 s "
        "ago); wait for it or end it, then rerun the same command to resume"
    )
    assert slot.text == record(silent_s=3)


@pytest.mark.parametrize("silent_s", [STALE_S + 1, 4 * STALE_S, -4 * STALE_S])
def test_one_that_looks_old_and_stays_silent_is_taken_over(silent_s: float) -> None:
    slot, slept = MemorySlot(record(silent_s)), []
    mine = lease(slot, sleep=slept.append)
    mine.claim()
    assert sum(slept) == WATCH_S
    assert parse(slot.text).generation == 4
    assert mine.notice == (
        "sweep bowls: taken over from the driver ada@elsewhere, pid 12, which has sent no "
        f"heartbeat for {abs(silent_s):.0f} s"
    )
    mine.release()


@pytest.mark.parametrize("skew_s", [3600.0, -3600.0])
def test_one_whose_clock_is_wrong_is_seen_to_live(skew_s: float) -> None:
    slot = MemorySlot(record(silent_s=skew_s))

    def it_beats(seconds: float) -> None:
        slot.text = record(silent_s=skew_s - 5)

    with pytest.raises(Held, match=r"heartbeat 0 s ago"):
        lease(slot, sleep=it_beats).claim()


def test_a_dead_process_of_this_machine_is_not_waited_for() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    us = lease(MemorySlot())._me
    theirs = us.model_copy(update={"pid": child.pid, "token": "t", "beat_ms": round(NOW_S * 1000)})
    mine = lease(MemorySlot(theirs.model_dump_json()))
    mine.claim()
    mine.release()
    in_a_container = theirs.model_copy(update={"namespace": "pid:[1]"}).model_dump_json()
    with pytest.raises(Held):
        lease(MemorySlot(in_a_container)).claim()
    mine = lease(MemorySlot(in_a_container), is_dead=lambda holder: holder.token == "t")
    mine.claim()
    mine.release()


def test_a_driver_that_was_taken_over_learns_it_and_leaves_the_lease_alone() -> None:
    slot = MemorySlot()
    mine = lease(slot)
    mine.claim()
    slot.text = record()
    mine.beat()
    with pytest.raises(TakenOver) as lost:
        mine.check()
    assert str(lost.value) == (
        "sweep bowls: another driver has taken this sweep over (ada@elsewhere, pid 12); this "
        "driver missed its heartbeat and has stopped writing"
    )
    mine.release()
    assert slot.text == record()


@pytest.mark.parametrize("left", ["", Holder(generation=7).model_dump_json(), "{torn"])
def test_a_lease_that_is_gone_is_claimed_again(left: str) -> None:
    slot = MemorySlot()
    mine = lease(slot)
    mine.claim()
    slot.text = left
    mine.beat()
    assert parse(slot.text).token == mine._me.token
    mine.check()
    mine.release()


def test_where_a_swap_may_be_lost_the_one_that_stands_counts() -> None:
    slot = MemorySlot(settle_s=1.0)

    def another_writes(seconds: float) -> None:
        slot.text = record()

    with pytest.raises(Held, match="ada@elsewhere"):
        lease(slot, sleep=another_writes).claim()
    assert slot.text == record()


def test_a_claim_whose_answer_was_lost_is_ours_at_the_next_try() -> None:
    slot = MemorySlot()
    swap = slot.swap

    def lost(old: str, new: str) -> bool:
        swap(old, new)
        raise ConnectionError("the answer is lost")

    slot.swap = lost  # type: ignore[method-assign]
    mine = lease(slot)
    with pytest.raises(ConnectionError):
        mine.claim()
    slot.swap = swap  # type: ignore[method-assign]
    mine.claim()
    assert parse(slot.text).generation == 1
    mine.release()


def test_a_store_that_does_not_answer_costs_the_heartbeat_and_not_the_sweep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sweeper.store.lease.lease.HEARTBEAT_S", 0.01)
    slot, tried = MemorySlot(), threading.Event()
    mine = lease(slot)
    mine.claim()
    read = slot.read

    def dead() -> str:
        tried.set()
        raise ConnectionError("connection refused")

    slot.read = dead  # type: ignore[method-assign]
    assert tried.wait(30)
    mine.check()
    slot.read = read  # type: ignore[method-assign]
    mine.release()
    assert parse(slot.text).token == ""


def test_who_only_looks_sees_the_living(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: NOW_S)
    assert living(record(silent_s=3)) == "ada@elsewhere, pid 12"
    assert living(record(silent_s=STALE_S)) == ""
    assert living(record(token="")) == ""
    assert living("") == living("no record") == ""


def test_a_slow_claimer_does_not_bring_back_an_old_file(tmp_path: Path) -> None:
    slot, slow = FileSlot(tmp_path / "driver.lease"), FileSlot(tmp_path / "driver.lease")
    assert slot.swap("", "1")
    seen = slow._newest()
    assert slot.swap("1", "2")
    assert slot.swap("2", "3")
    slow._newest = lambda: seen  # type: ignore[method-assign]
    assert not slow.swap("1", "late")
    assert slot.read() == "3"
    assert [path.name for path in tmp_path.iterdir()] == ["driver.lease.3"]


@pytest.mark.parametrize("links", [True, False])
def test_files_that_killed_drivers_left_go_with_the_next_swap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def refuse(*paths: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "driver.lease.0f.partial").write_text("half")
    slot = FileSlot(tmp_path / "driver.lease")
    assert slot.swap("", "1")
    assert not slot.swap("", "2")
    assert slot.read() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["driver.lease.1"]
