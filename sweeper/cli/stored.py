"""What the commands that look at results ask of the store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from sweeper.errors import SweepDeleted, UserError, nearest
from sweeper.report.lookup import find_trial
from sweeper.store import opening
from sweeper.store.index import find_deleted
from sweeper.store.location import locate_store
from trials import kind_names, load_kind

if TYPE_CHECKING:
    from sweeper.records import TrialRow
    from sweeper.store.location import Store
    from sweeper.store.opening import Reader
    from sweeper.store.tracking import Tracking
    from trials.api import TrialKind


def open_tracking(store: str | None) -> Tracking:
    """The store; UserError where there is none yet."""
    return opening.open_tracking(_existing(store))


def open_reader(store: str | None) -> Reader:
    """A reader of the store, without mlflow where it is not needed; UserError without a store."""
    return opening.open_reader(_existing(store))


def _existing(store: str | None) -> Store:
    place = locate_store(store)
    if not place.exists():
        raise UserError("there is no store yet", where=str(place.root), hint="see 'sweeper run'")
    return place


def known(names: Sequence[str], reader: Reader) -> Sequence[str]:
    """The names, each of a sweep that the store holds; UserError where one is not."""
    stored = reader.sweep_names()
    for name in names:
        if name not in stored:
            if find_deleted(reader.store, name).sweep:
                raise SweepDeleted(name)
            raise UserError(f"the store holds no sweep '{name}'", hint=nearest(name, stored))
    return names


def stored_rows(store: str | None, sweeps: Sequence[str] = ()) -> list[TrialRow]:
    """Trials of the named sweeps (all sweeps when none is named), oldest first."""
    reader = open_reader(store)
    return reader.rows(known(sweeps, reader))


def named_trial(reader: Reader, text: str) -> TrialRow:
    """The trial that `text` names; see `find_trial`. Reads one trial, or those of one sweep."""
    sweep, colon, _ = text.partition(":")
    if colon:
        return find_trial(reader.rows(known([sweep], reader)), text)
    return find_trial(reader.beginning_with(text), text)


def kinds_of(rows: Sequence[TrialRow]) -> dict[str, TrialKind]:
    """The kinds of these trials by name, those that are installed here."""
    return installed_kinds({row.kind for row in rows})


def installed_kinds(names: Iterable[str]) -> dict[str, TrialKind]:
    """The kinds of these names that are installed here."""
    return {name: load_kind(name) for name in set(names) & set(kind_names())}
