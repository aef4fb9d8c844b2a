"""The journal: a driver's write-ahead log of one sweep, from which the database is filled.

- `events`: one frozen record per thing that happens to a trial.
- `lines`: bytes on disk to checked records; `journal`: the file itself, held by one driver.
- `replay`: all events of a sweep to a `History`, the state of every trial.
- `flusher`: the thread that ships events to the database.

A runner appends to the journal; the flusher reads what was appended; `History` is where a later
driver, and fsck, start from.
"""

from sweeper.store.journal.events import (
    Abandoned,
    Event,
    Finished,
    Proposed,
    Removed,
    Reported,
    Reused,
    Shipped,
    Started,
    Suggested,
    ended_ms,
    event_of,
    key_of,
)
from sweeper.store.journal.flusher import Database, Flusher
from sweeper.store.journal.journal import Journal, read_journal
from sweeper.store.journal.replay import History, recorded, replay

__all__ = [
    "Abandoned",
    "Database",
    "Event",
    "Finished",
    "Flusher",
    "History",
    "Journal",
    "Proposed",
    "Removed",
    "Reported",
    "Reused",
    "Shipped",
    "Started",
    "Suggested",
    "ended_ms",
    "event_of",
    "key_of",
    "read_journal",
    "recorded",
    "replay",
]
