"""What driver and workers leave for each other: a request to stop, a verdict, artifacts."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import ray

from sweeper.errors import disk_full_named
from sweeper.store.artifacts import StagingArea

_ASK_MAILBOX_EVERY_S = 1.0


class Signs:
    """What driver and workers of one node leave for each other in a folder of this run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def stop(self) -> None:
        """Ask every trial to write a checkpoint and end."""
        (self._folder / "stop").touch()

    def stopping(self) -> bool:
        """Whether trials are asked to end."""
        return (self._folder / "stop").exists()

    def tell(self, key: str, verdict: str) -> None:
        """Leave word why the worker of `key` ends itself."""
        (self._folder / key).write_text(verdict)

    def verdict(self, key: str) -> str:
        """Why the worker of `key` ended itself; "" if it did not."""
        path = self._folder / key
        return path.read_text() if path.exists() else ""


class RemoteSigns:
    """`Signs` for a worker on another node than the driver's."""

    def __init__(self, mailbox: Any) -> None:
        self._mailbox = mailbox
        self._asked, self._stopping = -math.inf, False

    def stopping(self) -> bool:
        """As the driver said within the last second."""
        if time.monotonic() - self._asked > _ASK_MAILBOX_EVERY_S:
            self._stopping = ray.get(self._mailbox.stopping.remote())
            self._asked = time.monotonic()
        return self._stopping

    def tell(self, key: str, verdict: str) -> None:
        """Leave word why the worker of `key` ends itself."""
        ray.get(self._mailbox.tell.remote(key, verdict), timeout=10)


@ray.remote(num_cpus=0)
class Mailbox:
    """Lives on the driver's node and does there what workers of other nodes cannot."""

    def __init__(self, staging_root: str, signs: Signs) -> None:
        self._staging, self._signs = StagingArea(Path(staging_root)), signs
        self._partial: dict[str, Path] = {}

    def stopping(self) -> bool:
        """See `Signs.stopping`."""
        return self._signs.stopping()

    def tell(self, key: str, verdict: str) -> None:
        """See `Signs.tell`."""
        self._signs.tell(key, verdict)

    def begin(self, key: str) -> None:
        """Make room for the artifacts of `key`."""
        self._partial[key] = self._staging.begin(key)

    def write(self, key: str, name: str, chunk: bytes) -> None:
        """Append to an artifact; `DiskFull` where there is no room."""
        path = self._partial[key] / name
        with disk_full_named(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                file.write(chunk)

    def commit(self, key: str) -> None:
        """Every artifact of `key` is written."""
        self._staging.commit(key)
