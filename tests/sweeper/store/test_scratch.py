"""A temporary folder goes with its process, however that ends."""

from __future__ import annotations

import fcntl
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import sweeper
from sweeper.store.scratch import scratch_folder

DIES = """
import os, signal, sys
from sweeper.store.scratch import scratch_folder
with scratch_folder(sys.argv[1]) as folder:
    (folder / "weights").write_bytes(bytes(1000))
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


@pytest.mark.parametrize("purpose", ["trial", "tune"])
def test_the_next_run_removes_what_a_killed_process_left(tmp_path: Path, purpose: str) -> None:
    killed = subprocess.run([sys.executable, "-c", DIES, purpose], check=False)
    assert killed.returncode == -signal.SIGKILL
    [left] = tmp_path.iterdir()
    assert (left / "weights").stat().st_size == 1000
    with scratch_folder("trial") as mine:
        assert list(tmp_path.iterdir()) == [mine]
    assert not list(tmp_path.iterdir())


def test_a_folder_in_use_and_one_of_somebody_else_stay(tmp_path: Path) -> None:
    other = tmp_path / "sweeper-trial-of-an-older-version"
    other.mkdir()
    with scratch_folder("trial") as first, scratch_folder("trial") as second:
        assert first != second
        assert first.is_dir()
        assert other.is_dir()
    assert list(tmp_path.iterdir()) == [other]


def test_folders_below_another_base_are_cleared_there(tmp_path: Path) -> None:
    base = tmp_path / "short"
    base.mkdir()
    with scratch_folder("ray", base) as folder:
        assert folder.parent == base
    assert not list(base.iterdir())


def test_every_temporary_folder_of_the_service_is_such_a_folder() -> None:
    makes_one = re.compile(r"mkdtemp|TemporaryDirectory|mkstemp")
    modules = Path(sweeper.__file__).parent.rglob("*.py")
    found = {p.name for p in modules if makes_one.search(p.read_text())}
    # service.py makes one that stays: the folder of Ray's logs where RAY_TMPDIR asks for it.
    assert found == {"scratch.py", "service.py"}


def test_where_locks_lie_a_living_worker_keeps_its_folder_and_a_dead_one_s_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda descriptor, operation: None)
    with scratch_folder("trial") as first, scratch_folder("trial") as second:
        assert first.is_dir()
        assert second.is_dir()
    subprocess.run([sys.executable, "-c", DIES, "trial"], check=False)
    with scratch_folder("trial") as mine:
        assert list(tmp_path.iterdir()) == [mine]
