"""What the commands that look at results ask of the store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from sweeper.store import opening
from sweeper.store.opening import existing_store
from trials import kind_names, load_kind

if TYPE_CHECKING:
    from sweeper.records import TrialRow
    from sweeper.store.opening import Reader
    from sweeper.store.tracking import Tracking
    from trials.api import TrialKind


def open_tracking(store: str | None) -> Tracking:
    """The store; UserError where there is none yet."""
    return opening.open_tracking(existing_store(store))


def open_reader(store: str | None) -> Reader:
    """A reader of the store, without mlflow where it is not needed; UserError without a store."""
    return opening.open_reader(existing_store(store))


def kinds_of(rows: Sequence[TrialRow]) -> dict[str, TrialKind]:
    """The kinds of these trials by name, those that are installed here."""
    return installed_kinds({row.kind for row in rows})


def installed_kinds(names: Iterable[str]) -> dict[str, TrialKind]:
    """The kinds of these names that are installed here."""
    return {name: load_kind(name) for name in set(names) & set(kind_names())}
