"""The SQLite file of a local store: made once and whole, whoever else is making it or dies."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sweeper.errors import UserError, disk_full_named
from sweeper.store.location import holds_bytes

_PATIENCE_S = 60.0


def prepare(database: Path, create: Callable[[Path], None]) -> None:
    """Make `database` exist, with write-ahead logging: readers never block a driver.

    `create(path)` writes a new one at a path that does not exist; it takes seconds, and becomes
    `database` by a rename. Processes that want the same file wait for the first.

    Raises:
        UserError: the file cannot be opened or made.
        DiskFull: there is no room for it.
    """
    try:
        with disk_full_named(database):
            if not holds_bytes(database):
                database.parent.mkdir(parents=True, exist_ok=True)
                with _locked(database.with_suffix(".lock")):
                    if not holds_bytes(database):
                        _make(database, create)
            _log_ahead(database)
    except (OSError, sqlite3.Error) as error:
        raise UserError(f"cannot open the store: {error}", where=str(database)) from error


def _make(database: Path, create: Callable[[Path], None]) -> None:
    aside = database.with_suffix(".partial")
    for rest in database.parent.glob(f"{aside.name}*"):  # of one who died here
        rest.unlink()
    create(aside)
    _log_ahead(aside)
    # What a lost database left beside it would be read into the new one.
    for rest in database.parent.glob(f"{database.name}-*"):
        rest.rename(rest.with_name(f"{rest.name}.lost"))
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
