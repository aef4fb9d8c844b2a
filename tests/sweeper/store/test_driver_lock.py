from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeper.errors import UserError
from sweeper.store.driver_lock import STALE_S, DriverLock, Holder
from sweeper.store.journal import Journal, Started


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "driver.lock"


def left_by(path: Path, host: str) -> Holder:
    """A lock file as a driver of `host` leaves it, or holds it where flock does not reach."""
    holder = Holder(pid=4711, host=host, token="theirs")
    path.write_text(holder.model_dump_json())
    return holder


def after(path: Path, seconds: float) -> Callable[[], float]:
    """A clock that stands `seconds` after the last heartbeat."""
    return lambda: path.stat().st_mtime + seconds


def test_a_second_driver_is_refused_and_told_who_holds_the_sweep(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from sweeper.store.journal import Journal\n"
        f"journal = Journal(Path({str(tmp_path)!r})); print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    message = rf"another driver .*\(pid {holder.pid} on .+, heartbeat \d+ s ago\)"
    with pytest.raises(UserError, match=message):
        Journal(tmp_path)
    holder.kill()
    holder.wait()
    journal = Journal(tmp_path)
    assert journal.notices == ()
    journal.close()


def test_a_fresh_heartbeat_of_another_host_refuses_where_flock_does_not_reach(path: Path) -> None:
    left_by(path, "elsewhere")
    with pytest.raises(UserError, match=r"pid 4711 on elsewhere, heartbeat 7 s ago"):
        DriverLock(path, clock=after(path, 7))
    with pytest.raises(UserError, match=r"pid 4711 on elsewhere"):
        DriverLock(path, clock=after(path, STALE_S - 1))


def test_a_stale_heartbeat_of_another_host_is_taken_over_and_said(path: Path) -> None:
    left_by(path, "elsewhere")
    lock = DriverLock(path, clock=after(path, STALE_S + 30))
    assert lock.notice.endswith(
        "taken over from the driver pid 4711 on elsewhere, which has been silent for 90 s"
    )
    assert Holder.model_validate_json(path.read_text()).pid == os.getpid()
    lock.release()


def test_a_dead_driver_of_this_host_holds_nothing(path: Path) -> None:
    left_by(path, "here")
    lock = DriverLock(path, host="here", clock=after(path, 1))
    assert lock.notice == ""
    lock.release()


def test_a_released_lock_is_free_for_every_host_at_once(path: Path) -> None:
    DriverLock(path, host="here").release()
    DriverLock(path, host="elsewhere").release()


def test_a_heartbeat_renews_the_lock(path: Path) -> None:
    lock = DriverLock(path)
    os.utime(path, (1000, 1000))
    lock.beat()
    assert path.stat().st_mtime > 1000
    lock.release()


def test_a_driver_that_was_taken_over_writes_no_more(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(Started(key="a"))
    lock = tmp_path / "driver.lock"
    left_by(lock, "elsewhere")
    journal._lock.beat()
    with pytest.raises(UserError, match=r"another driver has taken this sweep over \(pid 4711"):
        journal.append(Started(key="b"))
    journal.close()
    assert Holder.model_validate_json(lock.read_text()).host == "elsewhere"
    assert [event.event for event in journal.events()] == ["started"]
