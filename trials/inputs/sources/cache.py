"""The user's cache: what was fetched or decoded once, shared by all processes of a user.

Every file is written under a temporary name and renamed, so a reader sees all of it or none.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from trials.api import TrialError
from trials.inputs.sources.loaded import Loaded
from trials.inputs.sources.tokens import Vocabulary

_LAYOUT = 1  # of a cached matrix; raise it when decoding or ranking changes
_log = logging.getLogger(__name__)


def cache_dir(*parts: str) -> Path:
    """A folder of the cache, made if need be: `SWEEPER_CACHE`, else the user's cache folder."""
    root = os.environ.get("SWEEPER_CACHE")
    if not root:
        home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        root = f"{home}/embedding-sweeper"
    folder = Path(root).expanduser().joinpath(*parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrialError(
            f"cannot write the cache folder {folder} ({error.strerror}); name another in "
            "SWEEPER_CACHE"
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
    """Hold the lock `name` among all processes that use this cache."""
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

    with WeakFileLock(cache_dir("locks") / f"{name}.lock"):
        yield


def text_digest(*parts: str) -> str:
    """SHA-256 over parts, in hexadecimal; the parts are told apart."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, remembered by path, size and time of change."""
    status = path.stat()
    seen = text_digest(str(path.resolve()), str(status.st_size), str(status.st_mtime_ns))
    memo = cache_dir("digests") / seen
    if memo.is_file() and len(digest := memo.read_text()) == 64:
        return digest
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    with replacing(memo) as temporary:
        temporary.write_text(digest)
    return digest


def remembered(digest: str, load: Callable[[], Loaded]) -> Loaded:
    """The cached matrix of that digest, else `load()`, which is then cached.

    Processes that want the same matrix wait for the first of them.
    """
    path = cache_dir("matrices") / f"{digest}.v{_LAYOUT}.safetensors"
    found = _read(path)
    if found is None:
        with locked(digest):
            found = _read(path)
            if found is None:
                found = load()
                _write(path, found)
    return found


def _write(path: Path, loaded: Loaded) -> None:
    from safetensors.numpy import save_file

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
    except OSError as error:
        _log.warning("the matrix was read but not cached in %s: %s", path.parent, error)


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
