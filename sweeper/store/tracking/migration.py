"""Opening a database that may be new: its tables are made by one process at a time.

MLflow makes them when it opens a database, and two processes that do so at once fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import NullPool, create_engine, text

# Held by a connection, so that the death of a process frees it.
_LOCKS = {
    "postgresql": "SELECT pg_advisory_lock(7337901)",
    "mysql": "SELECT GET_LOCK('embedding-sweeper', 120)",
}


@contextmanager
def opened_alone(tracking_uri: str) -> Iterator[None]:
    """Within the block no other process opens the same database server's tables in this way."""
    dialect = tracking_uri.partition(":")[0].partition("+")[0]
    if dialect not in _LOCKS:  # a tracking server, or a file that has its own way (`sqlite_file`)
        yield
        return
    engine = create_engine(tracking_uri, poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(_LOCKS[dialect]))
        yield
