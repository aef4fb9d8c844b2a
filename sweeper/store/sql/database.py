"""A read-only connection to the SQL database of a store."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

from sweeper.errors import UserError
from sweeper.store.location import Store
from sweeper.store.sqlite_file import read_only_name

_LOCK_TIMEOUT_S = 120.0  # our own writers hold a lock for seconds
_CHUNK = 1000  # SQLite allows 32,766 values in one statement, PostgreSQL 65,535
_PART = 5000  # rows


def is_readable(store: Store) -> bool:
    """Whether the store is a database that this package can read."""
    return store.is_local_file or store.tracking_uri.startswith("postgresql")


class Database:
    """An open connection; within it, all reads see one moment of the database."""

    def __init__(
        self, connection: Any, *, placeholder: str, streaming: Callable[[], Any] | None = None
    ) -> None:
        """`streaming` makes a cursor that does not hold its whole result in memory."""
        self._connection, self._placeholder = connection, placeholder
        self._streaming = streaming or connection.cursor

    def passed_over(self, table: str) -> str:
        """The table as a query names it that is to read it in one pass, not by an index."""
        return f"{table} NOT INDEXED" if self._placeholder == "?" else table

    def select(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a query, whose values are written `?`."""
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(query.replace("?", self._placeholder), tuple(values))
            return [tuple(row) for row in cursor.fetchall()]

    def stream(self, query: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """`select`, of which only some thousand rows are in memory."""
        with closing(self._streaming()) as cursor:
            cursor.execute(query.replace("?", self._placeholder), tuple(values))
            while part := cursor.fetchmany(_PART):
                yield from part

    def select_in(
        self, query: str, chosen: Sequence[Any], values: Sequence[Any] = ()
    ) -> Iterator[tuple[Any, ...]]:
        """Rows of a query that ends in `... IN`, for all chosen values; `values` come first."""
        for start in range(0, len(chosen), _CHUNK):
            part = chosen[start : start + _CHUNK]
            listed = f"{query} ({', '.join('?' * len(part))})"
            yield from self.select(listed, (*values, *part))


@contextmanager
def open_database(store: Store) -> Iterator[Database]:
    """A connection to the store's database.

    Raises:
        UserError: the file is no tracking store, or the server does not answer.
    """
    opened = _sqlite(store) if store.is_local_file else _postgresql(store)
    with opened as database:
        yield database


@contextmanager
def _sqlite(store: Store) -> Iterator[Database]:
    name = read_only_name(store.database)
    try:
        with closing(
            sqlite3.connect(name, uri=True, timeout=_LOCK_TIMEOUT_S, isolation_level=None)
        ) as connection:
            connection.execute("BEGIN")
            yield Database(connection, placeholder="?")
    except sqlite3.OperationalError as error:
        raise UserError(f"cannot read the store: {error}", where=str(store.database)) from error
    except sqlite3.DatabaseError as error:
        raise UserError(f"not a tracking store: {error}", where=str(store.database)) from error


@contextmanager
def _postgresql(store: Store) -> Iterator[Database]:
    # SQLAlchemy takes a quarter of a second, which SQLite need not wait for.
    from sweeper.store.sql.server import connected

    names = (f"rows_{number}" for number in itertools.count())
    with connected(store) as connection:
        yield Database(
            connection, placeholder="%s", streaming=lambda: connection.cursor(name=next(names))
        )
