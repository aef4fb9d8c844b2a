"""The SQLite file of a local store: made once and whole, whoever else is making it or dies."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from sweeper.errors import UserError, disk_full_named

_PATIENCE_S = 60.0


def prepare(database: Path, create: Callable[[Path], None]) -> None:
    """Make `database` exist, with write-ahead logging: readers never block a driver.

    `create(path)` writes a new one at a path that does not exist; it takes seconds, and becomes
    `database` by a rename. Processes that want the same file wait for the first. One that this
    user cannot write is left as it is.

    Raises:
        UserError: the file cannot be opened or made.
        DiskFull: there is no room for it.
    """
    try:
        with disk_full_named(database):
            if not database.exists():
                database.parent.mkdir(parents=True, exist_ok=True)
                with _locked(database.with_suffix(".lock")):
                    if not database.exists():
                        _make(database, create)
            if is_writable(database):
                _log_ahead(database)
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


def _make(database: Path, create: Callable[[Path], None]) -> None:
    aside = database.with_suffix(".partial")
    for rest in database.parent.glob(f"{aside.name}*"):  # of one who died here
        rest.unlink()
    create(aside)
    _log_ahead(aside)
    aside.rename(database)


def _log_ahead(database: Path) -> None:
    with closing(sqlite3.connect(database, timeout=_PATIENCE_S)) as connection:
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            connection.execute("PRAGMA journal_mode=WAL")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
