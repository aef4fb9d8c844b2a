"""Opens a tracking store only when it is needed: importing mlflow takes about two seconds.

`plan`, `check` and a `run` with nothing to do must answer before that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sweeper.store.location import Store

if TYPE_CHECKING:
    from sweeper.store.tracking import Results, Tracking


def open_results(store: Store) -> Results:
    """The reader of a store.

    Raises:
        UserError: the store does not answer.
    """
    from sweeper.store.tracking import Results  # mlflow is slow to import

    return Results(store)


def open_tracking(store: Store) -> Tracking:
    """The writer of a store; it has a reader.

    Raises:
        UserError: the store does not answer.
    """
    from sweeper.store.tracking import Tracking  # mlflow is slow to import

    return Tracking(store)
