"""One `sweeper run` process, and everything that it starts."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

_MARK = "SWEEPER_TEST_DRIVER"
_POLL_S = 0.01


@dataclass(frozen=True)
class Ended:
    """How a process ended, and what it said."""

    code: int
    stdout: str
    stderr: str


class Driver:
    """A running command in a process group of its own, its output in files.

    What it starts carries a mark in its environment, and only what is marked is ended.
    """

    def __init__(
        self,
        command: list[str],
        *,
        folder: Path,
        environment: Mapping[str, str] = {},
        largest_file_bytes: int | None = None,
    ) -> None:
        def limit_files() -> None:
            if largest_file_bytes is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file_bytes,) * 2)

        self._mark = uuid.uuid4().hex
        said = folder / f"said-{self._mark}"
        self._out, self._err = said.with_suffix(".out"), said.with_suffix(".err")
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sweeper.cli", *command],
                cwd=folder,
                env=os.environ | environment | {_MARK: self._mark, "OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                preexec_fn=limit_files,
            )

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def until(self, happened: Callable[[], bool], timeout_s: float = 90) -> bool:
        """Wait until it happened, or the process ended; whether it happened.

        Raises:
            TimeoutError: neither came in time; with the last that the process said.
        """
        deadline = time.monotonic() + timeout_s
        while not happened():
            if self.ends_within(_POLL_S):
                return happened()
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"nothing in {timeout_s} s; said: {self._err.read_text()[-2000:]}"
                )
        return True

    def ends_within(self, seconds: float) -> bool:
        """Wait for the end, at most so long; whether it came."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL to the driver alone; what it started must notice by itself."""
        self._process.kill()
        self._process.wait()

    def ended(self, timeout_s: float = 240) -> Ended:
        """Wait for the end; a traceback is a bug of ours, whatever was done to the driver."""
        if not self.ends_within(timeout_s):
            raise TimeoutError(f"not over in {timeout_s} s; said: {self._err.read_text()[-2000:]}")
        # A hostile name may have bytes of any kind.
        out, err = (path.read_text(errors="replace") for path in (self._out, self._err))
        assert "Traceback (most recent call last)" not in err, err[-3000:]
        return Ended(self._process.returncode, out, err)

    def clean_up(self) -> None:
        """End the driver and all that it started and left."""
        left = [process for process in psutil.process_iter() if self._is_ours(process)]
        for process in left:
            process.kill()
        psutil.wait_procs(left, timeout=10)
        self._process.wait()

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(_MARK) == self._mark
        except psutil.Error:
            return False
