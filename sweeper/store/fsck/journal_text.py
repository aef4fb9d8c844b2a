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
    """The text of a journal, intact or not.

    Attributes:
        is_empty: whether it has no lines.
        history: the state after its intact records.
        damaged_lines: numbers of unreadable lines, from 1.
        later_lines: numbers of lines that a later version of this program wrote.
        torn_bytes: length of half a record at its end.
        next_copy: file name under which a repair would keep a copy of the journal.
        artifacts: by key, paths of the artifacts of all attempts.
        unshipped: keys with events that the database may lack.
    """

    is_empty: bool
    history: History
    damaged_lines: tuple[int, ...]
    later_lines: tuple[int, ...]
    torn_bytes: int
    next_copy: str
    artifacts: Mapping[str, set[str]]
    unshipped: frozenset[str]

    @property
    def withdrawn(self) -> set[str]:
        """Trials whose latest attempt was abandoned: they wait for a retry."""
        unfinished = {spec.key for spec in self.history.unfinished}
        return unfinished - self.history.left_running


class ShippedRuns:
    """Runs whose outcomes are in the journals of a store folder; read at first use."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def sweep_of(self, run_id: str) -> str:
        """The sweep whose journal holds the run, "" if none does."""
        return self._sweeps.get(run_id, "")

    @cached_property
    def _sweeps(self) -> dict[str, str]:
        sweeps = {}
        for path in self._folder.glob("*/journal.log"):
            history = replay(read_journal(path))
            for key in history.outcomes.keys() - history.sources.keys():
                sweeps[history.run_ids.get(key, "")] = path.parent.name
        return sweeps


def read_journal_text(path: Path) -> JournalText | None:
    """The journal of a sweep and what is wrong with its text; None if there is none."""
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
    artifacts: dict[str, set[str]] = {}
    for event in events:
        match event:
            case Finished(outcome=outcome) | Reused(outcome=outcome):
                artifacts.setdefault(outcome.key, set()).update(a.path for a in outcome.artifacts)
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
        artifacts=artifacts,
        unshipped=frozenset(key_of(event) for event in history.unshipped),
    )
