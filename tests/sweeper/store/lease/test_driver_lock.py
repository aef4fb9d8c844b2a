from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sweeper.errors import UserError
from sweeper.store.journal import Journal, Started
from sweeper.store.lease import DriverLock, Holder, lease, living_driver, parse, this_machine
from sweeper.store.lease.file_slot import FileSlot
from sweeper.store.lease.holder import STALE_S


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "driver.lock"


@pytest.fixture
def locks_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that grants every lock."""
    monkeypatch.setattr(fcntl, "flock", lambda descriptor, operation: None)


def left_by(path: Path, silent_s: float = 0.0, **values: Any) -> Holder:
    """A lease as a driver of another host left it, or holds it where flock does not reach."""
    beat_ms = round((time.time() - silent_s) * 1000)
    theirs = {"user": "ada", "host": "elsewhere", "machine": "other", "pid": 4711, "token": "t"}
    holder = Holder(**(theirs | {"beat_ms": beat_ms} | values))
    slot = FileSlot(path.with_suffix(".lease"))
    assert slot.swap(slot.read(), holder.model_dump_json())
    return holder


def holder_of(path: Path) -> Holder:
    return parse(FileSlot(path.with_suffix(".lease")).read())


HOLD = (
    "import sys; from pathlib import Path; from sweeper.store.journal import Journal\n"
    "journal = Journal(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
)


def test_a_second_driver_is_refused_and_told_who_holds_the_sweep(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    message = rf"another driver is running .*\(.+@.+, pid {holder.pid}, heartbeat \d+ s ago\)"
    with pytest.raises(UserError, match=message):
        Journal(tmp_path)
    assert f"pid {holder.pid}" in living_driver(tmp_path / "driver.lock")
    holder.kill()
    holder.wait()
    assert living_driver(tmp_path / "driver.lock") == ""
    journal = Journal(tmp_path)
    assert journal.notices == ()
    journal.close()


@pytest.mark.parametrize("silent_s", [7, STALE_S - 5])
def test_a_fresh_heartbeat_of_another_host_refuses_where_flock_does_not_reach(
    path: Path, silent_s: float
) -> None:
    left_by(path, silent_s)
    with pytest.raises(UserError, match=rf"ada@elsewhere, pid 4711, heartbeat {silent_s:.0f} s"):
        DriverLock(path)
    assert living_driver(path) == "" if silent_s >= STALE_S else "ada@elsewhere, pid 4711"


def test_a_stale_heartbeat_of_another_host_is_taken_over_and_said(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "WATCH_S", 0.0)
    left_by(path, silent_s=STALE_S + 30)
    lock = DriverLock(path)
    assert lock.notice == (
        f"{path.parent}: taken over from the driver ada@elsewhere, pid 4711, which has sent no "
        "heartbeat for 90 s"
    )
    assert holder_of(path).pid == os.getpid()
    lock.release()


def test_a_driver_of_this_machine_without_its_lock_holds_nothing(path: Path) -> None:
    left_by(path, machine=this_machine(), pid=os.getpid())
    lock = DriverLock(path)
    assert lock.notice == ""
    lock.release()


def test_a_released_lock_is_free_at_once(path: Path) -> None:
    for _ in range(2):
        DriverLock(path).release()
        assert living_driver(path) == ""


def test_a_driver_that_was_taken_over_writes_no_more(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(Started(key="a"))
    left_by(tmp_path / "driver.lock")
    journal._lock.beat()
    with pytest.raises(UserError, match=r"another driver has taken this sweep over \(ada@elsewh"):
        journal.append(Started(key="b"))
    journal.close()
    assert holder_of(tmp_path / "driver.lock").host == "elsewhere"
    assert [event.event for event in journal.events()] == ["started"]


@pytest.mark.usefixtures("locks_lie")
def test_where_locks_lie_that_is_said_and_the_lease_decides(path: Path) -> None:
    lock = DriverLock(path)
    assert lock.notice == (
        f"{path.parent}: file locks have no effect on this file system; using a lease file"
    )
    with pytest.raises(UserError, match=rf"another driver .* pid {os.getpid()}, heartbeat 0 s ago"):
        DriverLock(path)
    assert f"pid {os.getpid()}" in living_driver(path)
    lock.release()
    DriverLock(path).release()


@pytest.mark.usefixtures("locks_lie")
def test_where_locks_lie_a_dead_process_of_this_machine_holds_nothing(path: Path) -> None:
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    namespace = str(Path("/proc/self/ns/pid").readlink())
    left_by(path, machine=this_machine(), namespace=namespace, pid=killed.pid)
    DriverLock(path).release()


def test_where_locks_lie_one_of_two_processes_that_start_at_once_gets_the_sweep(
    tmp_path: Path,
) -> None:
    program = (
        "import fcntl, sys; fcntl.flock = lambda *arguments: None\n"
        "from pathlib import Path; from sweeper.store.journal import Journal\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "try:\n    journal = Journal(Path(sys.argv[1])); print('held', flush=True)\n"
        "except Exception as error:\n    print(type(error).__name__, error, flush=True)\n"
        "sys.stdin.read()\n"
    )
    drivers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    said = []
    for driver in drivers:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "ready\n"
    for driver in drivers:
        assert driver.stdin is not None
        driver.stdin.write("go\n")
        driver.stdin.flush()
    for driver in drivers:
        assert driver.stdout is not None
        said.append(driver.stdout.readline())
    for driver in drivers:
        driver.communicate(timeout=60)
    refused = [line for line in said if line.startswith("Held ")]
    assert (said.count("held\n"), len(refused)) == (1, 2), said
