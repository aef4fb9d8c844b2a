"""The user's cache: what was fetched or decoded once, shared by all processes of a user.

Every file is written under a temporary name and renamed, so a reader sees all of it or none, and
each carries a checksum. What can be computed again needs no cache: where none can be written, it is
computed each time.
"""

from __future__ import annotations

import functools
import glob
import hashlib
import json
import logging
import os
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from trials.api import TrialError
from trials.inputs.sources.loaded import Loaded
from trials.inputs.sources.tokens import Vocabulary
from trials.inputs.sources.uri import one_line, problem_of

_LAYOUT = 1  # of a cached matrix; raise it when decoding or ranking changes
_SETTLED_S = 2.0  # file systems give two changes within that time one time stamp
_log = logging.getLogger(__name__)


def cache_dir(*parts: str) -> Path:
    """A folder of the cache, made if need be: `SWEEPER_CACHE`, else the user's cache folder."""
    root = os.environ.get("SWEEPER_CACHE")
    if not root:
        home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        root = f"{home}/embedding-sweeper"
    try:
        folder = Path(root).expanduser().joinpath(*parts)
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: no home folder is known
        raise TrialError(
            f"cannot write the cache folder {one_line(root)} ({problem_of(error)}); name another "
            "in SWEEPER_CACHE"
        ) from error
    return folder


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A temporary path beside `target` that becomes `target` if the block succeeds."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock `name` among all processes that use this cache, where it can be written."""
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

    with ExitStack() as held:
        try:
            held.enter_context(WeakFileLock(cache_dir("locks") / f"{name}.lock"))
        except (TrialError, OSError) as error:
            _not_kept("locks", error)
        yield


def keep_text(folder: str, name: str, text: str) -> None:
    """Keep a text that can be computed again; a cache that cannot be written costs time only."""
    try:
        with replacing(cache_dir(folder) / name) as temporary:
            temporary.write_text(f"{_sha256(text)}\n{text}", encoding="utf-8", newline="")
    except (TrialError, OSError) as error:
        _not_kept(folder, error)


def kept_text(folder: str, name: str) -> str | None:
    """The text that was kept; None if there is none, or another than was written."""
    try:
        with (cache_dir(folder) / name).open(encoding="utf-8", newline="") as file:
            checksum, _, text = file.read().partition("\n")
    except (TrialError, OSError, UnicodeDecodeError):
        return None
    return text if checksum == _sha256(text) else None


def _not_kept(folder: str, error: Exception) -> None:
    if isinstance(error, TrialError):  # names the folder and says what to do
        _warn_once(str(error))
    else:
        _warn_once(f"cannot write {folder}/ in it ({problem_of(error)})")


@functools.cache
def _warn_once(problem: str) -> None:
    _log.warning("the cache of sources is not used: %s", problem)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def text_digest(*parts: str) -> str:
    """SHA-256 over parts, in hexadecimal; the parts are told apart."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, remembered while the file stays the same one and unchanged.

    A file that changed just now, or while it was read, is read again the next time: another
    change could have the same time.
    """
    status = path.stat()
    seen = identity(path, status)
    if (known := kept_text("digests", seen)) is not None:
        return known
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
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


def remembered(digest: str, load: Callable[[], Loaded]) -> Loaded:
    """The cached matrix of that digest, else `load()`, which is then cached.

    Processes that want the same matrix wait for the first of them.
    """
    try:
        path = cache_dir("matrices") / f"{digest}.v{_LAYOUT}.safetensors"
    except TrialError as error:
        _not_kept("matrices", error)
        return load()
    found = _read(path)
    if found is None:
        with locked(digest):
            found = _read(path)
            if found is None:
                found = load()
                _write(path, found)
    return found


def _write(path: Path, loaded: Loaded) -> None:
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    # Of a process that was killed while it held the lock.
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        left.unlink(missing_ok=True)
    vocabulary = loaded.vocabulary
    tensors = {
        "rows": np.ascontiguousarray(loaded.rows),
        "special": vocabulary.special,
        "merge_rank": vocabulary.merge_rank,
    }
    metadata = {
        "tokens": json.dumps(vocabulary.tokens),
        "rank_from": vocabulary.rank_from,
        "facts": json.dumps(loaded.facts),
    }
    metadata["crc32"] = _checksum(tensors, metadata)
    try:
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata)
    except (OSError, SafetensorError) as error:
        _not_kept("matrices", error)


def _read(path: Path) -> Loaded | None:
    """A cached matrix; None if there is none or it is not what was written."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in ("rows", "special", "merge_rank")}
        expected = metadata.pop("crc32")
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError, KeyError, AttributeError) as error:
        _log.warning("%s is damaged and will be made again: %s", path, error)
        return None
    if _checksum(tensors, metadata) != expected:
        _log.warning("%s is damaged and will be made again: wrong checksum", path)
        return None
    vocabulary = Vocabulary(
        tuple(json.loads(metadata["tokens"])),
        tensors["special"],
        tensors["merge_rank"],
        metadata["rank_from"],
    )
    return Loaded(tensors["rows"], vocabulary, json.loads(metadata["facts"]))


def _checksum(tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> str:
    crc = zlib.crc32(json.dumps(sorted(metadata.items())).encode())
    for name in sorted(tensors):
        crc = zlib.crc32(tensors[name].view(np.uint8).data, crc)
    return f"{crc:08x}"
