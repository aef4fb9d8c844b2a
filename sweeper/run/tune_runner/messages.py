"""Messages between driver and workers: a request to stop, a reason for ending, artifacts."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import ray

from sweeper.errors import disk_full_named
from sweeper.store.artifacts import StagingArea

_ASK_MAILBOX_EVERY_S = 1.0


class Messages:
    """Messages between the driver and the workers of its own node, as files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def stop(self) -> None:
        """Ask every trial to write a checkpoint and end."""
        (self._folder / "stop").touch()

    def stopping(self) -> bool:
        """Whether trials are asked to end."""
        return (self._folder / "stop").exists()

    def tell(self, key: str, reason: str) -> None:
        """Record why the worker of `key` ends itself."""
        (self._folder / key).write_text(reason)

    def reason(self, key: str) -> str:
        """Why the worker of `key` ended itself; "" if it did not."""
        path = self._folder / key
        return path.read_text() if path.exists() else ""


class RemoteMessages:
    """`Messages` for a worker that is not on the driver's node."""

    def __init__(self, mailbox: Any) -> None:
        self._mailbox = mailbox
        self._asked, self._stopping = -math.inf, False

    def stopping(self) -> bool:
        """Whether trials were asked to end; the answer may be a second old."""
        if time.monotonic() - self._asked > _ASK_MAILBOX_EVERY_S:
            self._stopping = ray.get(self._mailbox.stopping.remote())
            self._asked = time.monotonic()
        return self._stopping

    def tell(self, key: str, reason: str) -> None:
        """Record why the worker of `key` ends itself."""
        ray.get(self._mailbox.tell.remote(key, reason), timeout=10)


@ray.remote(num_cpus=0)
class Mailbox:
    """An actor on the driver's node, by which workers of other nodes reach its files."""

    def __init__(self, staging_root: str, messages: Messages) -> None:
        self._staging, self._messages = StagingArea(Path(staging_root)), messages
        self._partial: dict[str, Path] = {}

    def stopping(self) -> bool:
        """See `Messages.stopping`."""
        return self._messages.stopping()

    def tell(self, key: str, reason: str) -> None:
        """See `Messages.tell`."""
        self._messages.tell(key, reason)

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
