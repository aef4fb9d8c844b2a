"""SHA-256 digests of texts and files, light enough for `input_digests` of a kind."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

from trials.inputs.cache import keep_text, kept_text

_SETTLED_S = 2.0  # a file system may give two changes within this time the same time stamp


def text_digest(*parts: str) -> str:
    """SHA-256 over a list of parts, in hexadecimal; ("ab", "c") and ("a", "bc") differ."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read from start to end."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, remembered while the file is unchanged.

    The digest of a file that changed just now, or while it was read, is not remembered: another
    change could have the same time stamp.
    """
    status = path.stat()
    seen = identity(path, status)
    if (known := kept_text("digests", seen)) is not None:
        return known
    digest = file_sha256(path)
    if settled(status) and identity(path, path.stat()) == seen:
        keep_text("digests", seen, digest)
    return digest


def identity(path: Path, status: os.stat_result) -> str:
    """Changes with the content of a file, as far as its directory entry shows.

    Archives and copies preserve the modification time. The inode and its change time, which nobody
    can set, reveal another file of equal size and time that was put in its place.
    """
    numbers = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    return text_digest(str(path.absolute()), *map(str, numbers))


def settled(status: os.stat_result) -> bool:
    """Whether the last change is old enough that a new one would have another time stamp."""
    return time.time() - max(status.st_mtime, status.st_ctime) > _SETTLED_S
