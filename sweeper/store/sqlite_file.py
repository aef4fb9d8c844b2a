"""The SQLite file of a local store: made once and whole, whoever else is making it or dies."""

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
    """Make `database` exist, with write-ahead logging: readers never block a driver.

    The log needs memory that all processes share, so a network file system gets the older rollback
    journal. `create(path)` writes a new database at a path that does not exist; it takes seconds,
    and becomes `database` in one step. Processes that want the same file wait for the first; where
    file locks have no effect, the first to finish counts. A database that this user cannot write
    is left as it is.

    Raises:
        UserError: the file cannot be opened or made.
        DiskFull: there is no room for it.
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
    """The `file:` name under which SQLite reads a database, whether or not it can be written.

    One that cannot be, and beside which no write-ahead log is left, is read as a file that does not
    change: SQLite could not make the files by which processes share it, and nobody has it open.

    Raises:
        UserError: a write-ahead log is left, without the index that reading it needs.
    """
    name = f"file:{quote(str(database.absolute()))}?mode=ro"
    if is_writable(database):
        return name
    log, index = (database.with_name(f"{database.name}-{end}") for end in ("wal", "shm"))
    if log.exists() and not index.exists():
        raise UserError(
            f"{log.name} was left by a driver that died, and cannot be read in a read-only folder",
            where=str(database),
            hint="copy the store's folder and name the copy with --store",
        )
    return name if log.exists() else f"{name}&immutable=1"


def network_notice(database: Path) -> str:
    """A line for the user where the database lies on a network file system; "" elsewhere."""
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
                left.unlink()  # of a process that died here
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
    """Set aside what a lost database left: SQLite would read its log into the new one."""
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
        # A log that others use cannot be ended: the first to find it unused does that.
        with suppress(sqlite3.OperationalError) if mode == "delete" else nullcontext():
            connection.execute(f"PRAGMA journal_mode={mode}")


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold a lock on a file; yields whether that keeps every other process out."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield locks_exclude_all(path)
    finally:
        os.close(descriptor)
