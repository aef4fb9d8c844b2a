"""Opens a database that may be new: only one process at a time creates its tables.

MLflow creates them when it opens a database. Two processes that do so at once fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import NullPool, create_engine, text

# Locks held by a connection, so that they are released if the process dies.
_LOCKS = {
    "postgresql": "SELECT pg_advisory_lock(7337901)",
    "mysql": "SELECT GET_LOCK('embedding-sweeper', 120)",
}


@contextmanager
def opened_alone(tracking_uri: str) -> Iterator[None]:
    """Inside the block, no other process that uses this function opens the same database."""
    dialect = tracking_uri.partition(":")[0].partition("+")[0]
    if dialect not in _LOCKS:  # a tracking server, or a SQLite file (see `sqlite_file`)
        yield
        return
    engine = create_engine(tracking_uri, poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(_LOCKS[dialect]))
        yield
