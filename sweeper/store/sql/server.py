"""Connections to a database server: whether it answers, within seconds and in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import sqlalchemy
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from sweeper.errors import UserError, one_line
from sweeper.store.location import Store

PATIENCE_S = 4
_DRIVERS = {
    "psycopg": "psycopg[binary]",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
    "pymysql": "pymysql",
}
# Messages of PostgreSQL and MySQL for a login that they refuse.
_REFUSED = re.compile(
    r"authentication failed|no password supplied|no pg_hba.conf entry|Access denied for user"
    r"|role \S+ (?:does not exist|is not permitted to log in)",
    re.IGNORECASE,
)


def reach_database(store: Store) -> None:
    """Check that a database answers.

    Raises:
        UserError: it does not answer, refuses the credentials, or its driver is not installed.
    """
    with _connection(store):
        pass


@contextmanager
def connected(store: Store) -> Iterator[Any]:
    """A connection of the database's own driver, whose reads all see one moment.

    Raises:
        UserError: as `reach_database`, or a read fails.
    """
    with _connection(store, isolation_level="REPEATABLE READ") as connection:
        try:
            yield connection.connection.driver_connection
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in _DRIVERS:
                raise
            raise _unread(store, error) from error


@contextmanager
def _connection(store: Store, **options: str) -> Iterator[sqlalchemy.Connection]:
    with closing(_connect(store, options)) as connection:
        yield connection


def _connect(store: Store, options: dict[str, str]) -> sqlalchemy.Connection:
    try:
        return engine_of(store).execution_options(**options).connect()
    except ModuleNotFoundError as error:
        package = _DRIVERS.get(error.name or "", error.name)
        raise UserError(
            f"the database driver '{error.name}' is not installed",
            where=store.shown,
            hint=f"pip install '{package}'",
        ) from error
    except (NoSuchModuleError, ArgumentError, ValueError) as error:
        raise UserError(
            f"no such database: {one_line(str(error), 200)}", where=store.shown
        ) from error
    except SQLAlchemyError as error:
        said = first_line(error)
        if _REFUSED.search(said):
            name = unquote(urlsplit(store.tracking_uri).username or "")
            raise refused_credentials(store, name, said) from error
        raise UserError(f"the store does not answer: {said}", where=store.shown) from error


def engine_of(store: Store) -> sqlalchemy.Engine:
    """An engine that gives up after `PATIENCE_S` and keeps no connection."""
    url = sqlalchemy.make_url(store.tracking_uri)
    timeout = {} if "connect_timeout" in url.query else {"connect_timeout": PATIENCE_S}
    return sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, connect_args=timeout)


def refused_credentials(store: Store, name: str, said: str) -> UserError:
    """The error for a login that a store refuses."""
    detail = f" ({said})" if said else ""
    return UserError(f"the store refused the credentials of '{name}'{detail}", where=store.shown)


def first_line(error: SQLAlchemyError) -> str:
    """The database's message, without the statement that SQLAlchemy appends."""
    said = str(getattr(error, "orig", None) or error).partition("[SQL:")[0]
    return one_line(said.partition("\n")[0], 300)


def _unread(store: Store, error: Exception) -> UserError:
    return UserError(f"cannot read the store: {one_line(str(error), 200)}", where=store.shown)
