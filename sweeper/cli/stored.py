"""What the commands that look at results ask of the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sweeper.errors import UserError, nearest
from sweeper.store import opening
from sweeper.store.location import locate_store
from trials import kind_names, load_kind

if TYPE_CHECKING:
    from sweeper.records import TrialRow
    from sweeper.store.tracking import Tracking
    from trials.api import TrialKind


def open_tracking(store: str | None) -> Tracking:
    """The store; UserError where there is none yet."""
    place = locate_store(store)
    if not place.exists():
        raise UserError("there is no store yet", where=str(place.root), hint="see 'sweeper run'")
    return opening.open_tracking(place)


def known(names: Sequence[str], tracking: Tracking) -> Sequence[str]:
    """The names, each of a sweep that the store holds; UserError where one is not."""
    stored = tracking.results.sweep_names()
    for name in names:
        if name not in stored:
            raise UserError(f"the store holds no sweep '{name}'", hint=nearest(name, stored))
    return names


def stored_rows(store: str | None, sweeps: Sequence[str] = ()) -> list[TrialRow]:
    """Trials of the named sweeps (all sweeps when none is named), oldest first."""
    tracking = open_tracking(store)
    return tracking.results.rows(known(sweeps, tracking))


def kinds_of(rows: Sequence[TrialRow]) -> dict[str, TrialKind]:
    """The kinds of these trials by name, those that are installed here."""
    here = set(kind_names())
    return {name: load_kind(name) for name in {row.kind for row in rows} & here}
