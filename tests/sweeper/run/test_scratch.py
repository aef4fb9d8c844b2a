"""The folder of a trial goes with it, however the trial ends."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from sweeper.run.scratch import scratch_folder

DIES = """
import os, signal
from sweeper.run.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "weights").write_bytes(bytes(1000))
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_a_killed_worker_s_folder_goes_with_the_next_trial(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", DIES], check=False)
    assert killed.returncode == -signal.SIGKILL
    [left] = tmp_path.iterdir()
    assert (left / "weights").stat().st_size == 1000
    with scratch_folder() as mine:
        assert list(tmp_path.iterdir()) == [mine]
    assert not list(tmp_path.iterdir())


def test_a_folder_in_use_and_one_of_somebody_else_stay(tmp_path: Path) -> None:
    other = tmp_path / "sweeper-trial-of-an-older-version"
    other.mkdir()
    with scratch_folder() as first, scratch_folder() as second:
        assert first != second
        assert first.is_dir()
        assert other.is_dir()
    assert list(tmp_path.iterdir()) == [other]


def test_where_locks_lie_a_living_worker_keeps_its_folder_and_a_dead_one_s_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda descriptor, operation: None)
    with scratch_folder() as first, scratch_folder() as second:
        assert first.is_dir()
        assert second.is_dir()
    subprocess.run([sys.executable, "-c", DIES], check=False)
    with scratch_folder() as mine:
        assert list(tmp_path.iterdir()) == [mine]
