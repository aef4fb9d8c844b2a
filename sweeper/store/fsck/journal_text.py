"""A journal as fsck reads it: its history, and what is wrong with its text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sweeper.store.journal import (
    Event,
    Finished,
    History,
    Reused,
    event_of,
    key_of,
    read_journal,
    replay,
)
from sweeper.store.journal.lines import Line, next_copy, read_lines, torn_text


@dataclass(frozen=True)
class JournalText:
    """A journal as a file.

    Attributes:
        is_empty: whether no line of it is a record, or ever was one.
        history: what its whole records say.
        damaged_lines: numbers of the lines that cannot be read, the first is 1.
        later_lines: numbers of the lines that a later version of this program wrote.
        torn_bytes: length of the half record at its end.
        next_copy: name of the file in which a repair would keep the journal as it is.
        left: by key, paths of all artifacts that any attempt left.
        unshipped: keys with events that the database may not hold.
    """

    is_empty: bool
    history: History
    damaged_lines: tuple[int, ...]
    later_lines: tuple[int, ...]
    torn_bytes: int
    next_copy: str
    left: Mapping[str, set[str]]
    unshipped: frozenset[str]

    @property
    def withdrawn(self) -> set[str]:
        """Trials whose last attempt a driver gave up: they wait for the next."""
        unfinished = {spec.key for spec in self.history.unfinished}
        return unfinished - self.history.left_running


class ShippedRuns:
    """Runs that the journals of a store folder hold with their outcomes; read when first asked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def sweep_of(self, run_id: str) -> str:
        """The sweep whose journal holds the run, "" if none does."""
        return self._sweeps.get(run_id, "")

    @cached_property
    def _sweeps(self) -> dict[str, str]:
        found = {}
        for path in self._folder.glob("*/journal.log"):
            history = replay(read_journal(path))
            for key in history.outcomes.keys() - history.sources.keys():
                found[history.run_ids.get(key, "")] = path.parent.name
        return found


def read_journal_text(path: Path) -> JournalText | None:
    """The journal of a sweep with all that is wrong with its text; None if there is none."""
    if not path.exists():
        return None
    events: list[Event] = []
    unread: list[Line] = []
    last = None
    for last in read_lines(path):
        if (event := event_of(last)) is not None:
            events.append(event)
        else:
            unread.append(last)
    torn = torn_text(last)
    left: dict[str, set[str]] = {}
    for event in events:
        match event:
            case Finished(outcome=outcome) | Reused(outcome=outcome):
                left.setdefault(outcome.key, set()).update(a.path for a in outcome.artifacts)
    history = replay(events)
    return JournalText(
        is_empty=last is None,
        history=history,
        damaged_lines=tuple(
            line.number for line in unread if line.payload is None and not (torn and line is last)
        ),
        later_lines=tuple(line.number for line in unread if line.payload is not None),
        torn_bytes=len(torn),
        next_copy=next_copy(path).name,
        left=left,
        unshipped=frozenset(key_of(event) for event in history.unshipped),
    )
