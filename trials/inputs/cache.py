"""The user's cache: what was fetched or decoded once, shared by all processes of a user.

A file is written under a temporary name and then renamed, so a reader sees all of it or nothing.
Each file carries a checksum. Nothing depends on the cache: where it cannot be written, results are
computed again each time.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from trials.api import TrialError
from trials.inputs.messages import one_line, problem_of
from trials.lazy import lazy_module

# Loading the hub's client takes a fifth of a second, and only its lock is used here.
hub_utils = lazy_module("huggingface_hub.utils")

_log = logging.getLogger(__name__)


def cache_dir(*parts: str) -> Path:
    """A folder of the cache, created if missing: `SWEEPER_CACHE`, else the user's cache folder."""
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
    """A temporary path next to `target` that becomes `target` if the block succeeds."""
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
    with ExitStack() as held:
        try:
            held.enter_context(hub_utils.WeakFileLock(cache_dir("locks") / f"{name}.lock"))
        except (TrialError, OSError) as error:
            warn_not_kept("locks", error)
        yield


def keep_text(folder: str, name: str, text: str) -> None:
    """Keep a text that can be computed again; a cache that cannot be written only costs time."""
    try:
        with replacing(cache_dir(folder) / name) as temporary:
            temporary.write_text(f"{_sha256(text)}\n{text}", encoding="utf-8", newline="")
    except (TrialError, OSError) as error:
        warn_not_kept(folder, error)


def kept_text(folder: str, name: str) -> str | None:
    """The text that was kept; None if there is none, or if it is damaged."""
    try:
        with (cache_dir(folder) / name).open(encoding="utf-8", newline="") as file:
            checksum, _, text = file.read().partition("\n")
    except (TrialError, OSError, UnicodeDecodeError):
        return None
    return text if checksum == _sha256(text) else None


def warn_not_kept(folder: str, error: Exception) -> None:
    """Log once why something could not be cached; the caller continues without it."""
    if isinstance(error, TrialError):  # names the folder and says what to do
        _warn_once(str(error))
    else:
        _warn_once(f"cannot write {folder}/ in it ({problem_of(error)})")


@functools.cache
def _warn_once(problem: str) -> None:
    _log.warning("the cache of sources is not used: %s", problem)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
