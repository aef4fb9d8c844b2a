"""The memory limit of a worker process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sweeper.run.worker.memory import memory_limit, resident_bytes

PROGRAM = """
import sys, time
from sweeper.run.worker.memory import memory_limit, resident_bytes
with memory_limit(resident_bytes() / 2**30 + 0.1, lambda why: print(why, flush=True)):
    hoard = bytearray({n_mib} << 20)
    deadline = time.monotonic() + {patience_s}
    while time.monotonic() < deadline:
        pass
print("within the limit")
"""


def hold(n_mib: int, patience_s: float) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(n_mib=n_mib, patience_s=patience_s)
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_process_beyond_its_limit_says_so_and_ends_in_the_middle_of_its_work() -> None:
    done = hold(n_mib=300, patience_s=60)
    assert done.returncode == 1
    assert "memory limit of" in done.stdout
    assert "GiB in use" in done.stdout
    assert "within the limit" not in done.stdout


def test_a_process_within_its_limit_is_left_alone() -> None:
    done = hold(n_mib=10, patience_s=0.5)
    assert (done.returncode, done.stdout) == (0, "within the limit\n")


def test_without_a_limit_nothing_watches() -> None:
    with memory_limit(None, pytest.fail):
        assert resident_bytes() > 1 << 20
