"""Opens a tracking store only when it is needed: importing mlflow takes about two seconds.

`plan`, `check` and a `run` with nothing to do must answer before that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sweeper.errors import UserError
from sweeper.store.location import Store, locate_store
from sweeper.store.sql import SqlReader
from sweeper.store.sql.database import is_readable

if TYPE_CHECKING:
    from sweeper.store.tracking import Results, Tracking
    from sweeper.store.tracking.api_reader import ApiReader

    Reader = SqlReader | ApiReader


def existing_store(option: str | None = None) -> Store:
    """The store that `locate_store` finds.

    Raises:
        UserError: nothing was ever stored there.
    """
    place = locate_store(option)
    if not place.exists():
        raise UserError("there is no store yet", where=str(place.root), hint="see 'sweeper run'")
    return place


def open_results(store: Store) -> Results:
    """The reader of a store.

    Raises:
        UserError: the store does not answer.
    """
    from sweeper.store.tracking import Results  # mlflow is slow to import

    return Results(store)


def open_reader(store: Store) -> Reader:
    """A reader of the store's trials: of its SQL database where that can be read directly.

    Raises:
        UserError: the store does not answer.
    """
    if is_readable(store):
        return SqlReader(store)
    from sweeper.store.tracking.api_reader import ApiReader  # mlflow is slow to import

    return ApiReader(store)


def open_tracking(store: Store) -> Tracking:
    """The writer of a store; it has a reader.

    Raises:
        UserError: the store does not answer.
    """
    from sweeper.store.tracking import Tracking  # mlflow is slow to import

    return Tracking(store)
