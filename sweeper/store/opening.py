"""Opens the database of results. MLflow takes seconds to import, so it is imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweeper.store.location import Store
    from sweeper.store.tracking import Results, Tracking


def open_results(store: Store) -> Results:
    """A reader of the store."""
    from sweeper.store.tracking import Results  # loads mlflow

    return Results(store)


def open_tracking(store: Store) -> Tracking:
    """A reader of the store that writes to it, too."""
    from sweeper.store.tracking import Tracking  # loads mlflow

    return Tracking(store)
