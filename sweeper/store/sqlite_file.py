"""The SQLite file of a local store, created exactly once even if processes race or die."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from urllib.parse import quote

from sweeper.errors import UserError, disk_full_named
from sweeper.store.file_system import locks_exclude_all, network_file_system
from sweeper.store.location import holds_bytes

_PATIENCE_S = 60.0
_LEFTOVER_S = 3600.0


def prepare(database: Path, create: Callable[[Path], None]) -> None:
    """Create `database` if it is missing, with write-ahead logging: readers never block a driver.

    The log needs memory shared between processes, so a network file system gets the older rollback
    journal. `create(path)` writes a new database at a path that does not exist. This takes seconds;
    the result becomes `database` in one step. Other processes wait for the first one. Where file
    locks have no effect, the first to finish wins. A database that this user cannot write is left
    unchanged.

    Raises:
        UserError: the file cannot be opened or created.
        DiskFull: no space to write it.
    """
    try:
        with disk_full_named(database):
            if not holds_bytes(database):
                database.parent.mkdir(parents=True, exist_ok=True)
                with _locked(database.with_suffix(".lock")) as is_alone:
                    if not holds_bytes(database):
                        _make(database, create, is_alone=is_alone)
            if is_writable(database):
                _set_journal_mode(database)
    except (OSError, sqlite3.Error) as error:
        raise UserError(f"cannot open the store: {error}", where=str(database)) from error


def is_writable(database: Path) -> bool:
    """Whether this user may write the file and, for SQLite's own files, its folder."""
    return os.access(database, os.W_OK) and os.access(database.parent, os.W_OK)


def read_only_name(database: Path) -> str:
    """The `file:` URI to open a database for reading, whether or not this user can write it.

    Without write permission SQLite cannot create the files that processes share. If no write-ahead
    log exists either, nobody has the database open, so it is opened as immutable.

    Raises:
        UserError: a write-ahead log exists without the index that is needed to read it.
    """
    name = f"file:{quote(str(database.absolute()))}?mode=ro"
    if is_writable(database):
        return name
    log, index = (database.with_name(f"{database.name}-{end}") for end in ("wal", "shm"))
    if log.exists() and not index.exists():
        raise UserError(
            f"{log.name} was left by a driver that died and cannot be read in a read-only folder",
            where=str(database),
            hint="copy the store's folder and name the copy with --store",
        )
    return name if log.exists() else f"{name}&immutable=1"


def network_notice(database: Path) -> str:
    """A notice if the database is on a network file system; "" otherwise."""
    kind = network_file_system(database.parent)
    if not kind:
        return ""
    return (
        f"{database.parent}: a network file system ({kind}): SQLite runs without its write-ahead "
        "log; use PostgreSQL or a tracking server if several machines write at once"
    )


def _make(database: Path, create: Callable[[Path], None], *, is_alone: bool) -> None:
    for left in _beginning_with(database.parent, f"{database.stem}.", ".partial"):
        with suppress(FileNotFoundError):
            if is_alone or time.time() - left.stat().st_mtime > _LEFTOVER_S:
                left.unlink()  # left by a process that died
    aside = database.with_suffix(f".{uuid.uuid4().hex[:8]}.partial")
    try:
        create(aside)
        _set_journal_mode(aside)
        if not holds_bytes(database):
            _clear_the_way(database)
        _publish(aside, database)
    finally:
        for rest in _beginning_with(database.parent, aside.name):
            rest.unlink()


def _beginning_with(folder: Path, start: str, inside: str = "") -> list[Path]:
    return [p for p in folder.iterdir() if p.name.startswith(start) and inside in p.name]


def _clear_the_way(database: Path) -> None:
    """Rename the log of a lost database: SQLite would replay it into the new one."""
    for rest in _beginning_with(database.parent, f"{database.name}-"):
        if not rest.name.endswith(".lost"):
            rest.rename(rest.with_name(f"{rest.name}.lost"))
    database.unlink(missing_ok=True)  # emptied


def _publish(aside: Path, database: Path) -> None:
    """Give `aside` its name, unless another process was faster."""
    try:
        os.link(aside, database)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        aside.rename(database)


def _set_journal_mode(database: Path) -> None:
    mode = "delete" if network_file_system(database.parent) else "wal"
    with closing(sqlite3.connect(database, timeout=_PATIENCE_S)) as connection:
        if connection.execute("PRAGMA journal_mode").fetchone() == (mode,):
            return
        # A log in use cannot be closed. The first process to find it unused will do it.
        with suppress(sqlite3.OperationalError) if mode == "delete" else nullcontext():
            connection.execute(f"PRAGMA journal_mode={mode}")


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold a lock on a file; yields whether it excludes every other process."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield locks_exclude_all(path)
    finally:
        os.close(descriptor)
