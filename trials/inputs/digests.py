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
    """SHA-256 over parts, in hexadecimal; the parts are told apart."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read from start to end."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, remembered while the file stays the same one and unchanged.

    A file that changed just now, or while it was read, is read again the next time: another
    change could have the same time.
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
    """Changes with the content of a file, as far as its directory entry can tell.

    Archives and copies keep the time of the change of the content. That of the inode, which nobody
    can set, and the inode itself tell a file of equal size and time that was put in its place.
    """
    numbers = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    return text_digest(str(path.absolute()), *map(str, numbers))


def settled(status: os.stat_result) -> bool:
    """Whether the last change is so long ago that another would have another time."""
    return time.time() - max(status.st_mtime, status.st_ctime) > _SETTLED_S
