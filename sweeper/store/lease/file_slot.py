"""A slot for a lease in a folder, reliable even where file locks are not.

Each text is a file of its own, `NAME.1`, `NAME.2`, …; the highest number counts. A new file appears
by a hard link, which only one process can create.
"""

from __future__ import annotations

import errno
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sweeper.errors import disk_full_named

_LONGEST_WRITE_S = 1.0
# Errors of file systems without hard links; readers then wait for the text.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES)


class FileSlot:
    """A `Slot` (see `lease.py`); `path` is the common prefix of its files."""

    settle_s = 0.0

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> str:
        """The text of the file with the highest number."""
        return self._newest()[1]

    def swap(self, old: str, new: str) -> bool:
        """Write `new` as the next file, unless another process has or the text is not `old`."""
        number, text = self._newest()
        if text != old:
            return False
        mine = self._file(number + 1)
        aside = self._path.with_name(f"{self._path.name}.{uuid.uuid4().hex}.partial")
        with disk_full_named(self._path):
            aside.write_text(new)
            if not _link(aside, mine):
                return False
        # A process that paused after reading may recreate a file that its successors removed.
        if any(other > number + 1 for other in self._numbers()):
            mine.unlink(missing_ok=True)
            return False
        for other in self._numbers():
            if other <= number:
                self._file(other).unlink(missing_ok=True)
        for left in self._path.parent.glob(f"{self._path.name}.*.partial"):
            left.unlink(missing_ok=True)  # left by a process that died or came too late
        return True

    def _newest(self) -> tuple[int, str]:
        """Number and text of the newest file; (0, "") where there is none."""
        deadline = time.monotonic() + _LONGEST_WRITE_S
        while True:
            number = max(self._numbers(), default=0)
            if not number:
                return 0, ""
            with suppress(FileNotFoundError):  # its successor exists
                text = self._file(number).read_text()
                if text or time.monotonic() > deadline:
                    return number, text
            time.sleep(0.01)

    def _numbers(self) -> Iterator[int]:
        for path in self._path.parent.glob(f"{self._path.name}.*"):
            if path.suffix[1:].isdecimal():
                yield int(path.suffix[1:])

    def _file(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def _link(aside: Path, target: Path) -> bool:
    """Give the file `aside` the name `target`; false if another process was faster."""
    try:
        os.link(aside, target)
    except FileExistsError:
        # A network file system repeats a request whose answer was lost: the link may be ours.
        with suppress(FileNotFoundError):
            return aside.stat().st_nlink == 2
        return False
    except FileNotFoundError:  # a faster process has cleaned up
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        try:
            with target.open("x") as file:
                file.write(aside.read_text())
        except FileExistsError:
            return False
    finally:
        aside.unlink(missing_ok=True)
    return True
