"""What can happen to a trial, as a journal records it: one frozen record per event."""

from __future__ import annotations

import zlib
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from sweeper.records import Outcome, Record, Scalar, TrialSpec, now_ms
from sweeper.store.journal.lines import Line


class Proposed(Record):
    """The search proposed an assignment; `keys` are its trials, one per seed.

    They are the real ones, or those of `null` where a search tunes nulls apart.

    Only adaptive searches write this: the proposals of others follow from the sweep file.
    """

    event: Literal["proposed"] = "proposed"
    number: int
    assignment: dict[str, Scalar]
    keys: tuple[str, ...]
    null: str | None = None


class Suggested(Record):
    """The search chose this trial."""

    event: Literal["suggested"] = "suggested"
    spec: TrialSpec


class Started(Record):
    """A worker began this trial."""

    event: Literal["started"] = "started"
    key: str
    at_ms: int = Field(default_factory=now_ms)


class Reported(Record):
    """A running trial reported progress."""

    event: Literal["reported"] = "reported"
    key: str
    step: int
    metrics: dict[str, float]
    at_ms: int = Field(default_factory=now_ms)


class Finished(Record):
    """A trial ended, well or badly."""

    event: Literal["finished"] = "finished"
    outcome: Outcome


class Reused(Record):
    """Another sweep has run this trial already: its outcome is used for `spec`."""

    event: Literal["reused"] = "reused"
    spec: TrialSpec
    outcome: Outcome
    run_id: str


class Abandoned(Record):
    """The latest attempt produced no result; the trial may be retried.

    `attempt_s` is its wall time, None if nobody saw it end.
    """

    event: Literal["abandoned"] = "abandoned"
    key: str
    reason: str
    attempt_s: float | None = None
    at_ms: int = Field(default_factory=now_ms)


class Shipped(Record):
    """The database holds this trial as `run_id` ("" if it needs no run).

    This covers all events up to the end at `ended_ms`, or all events before this record if that is
    0. The next attempt may begin while one is being shipped, so the time is needed.
    """

    event: Literal["shipped"] = "shipped"
    key: str
    run_id: str
    ended_ms: int = 0


class Removed(Record):
    """Somebody removed the trial, which `run_id` held; if it is declared, it runs anew."""

    event: Literal["removed"] = "removed"
    key: str
    run_id: str


Event = (
    Proposed | Suggested | Started | Reported | Finished | Reused | Abandoned | Shipped | Removed
)
_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


def event_of(line: Line) -> Event | None:
    """The event of a line; None if the line is damaged or was written by a later version."""
    if line.payload is None:
        return None
    try:
        return _EVENT.validate_json(line.payload)
    except ValidationError:
        return None


def line_of(event: Event) -> bytes:
    """The line of an event: checksum and JSON."""
    payload = event.model_dump_json().encode()
    return b"%08x %s\n" % (zlib.crc32(payload), payload)


def key_of(event: Event) -> str:
    """Key of the trial of an event ("" for a proposal, which may have several)."""
    match event:
        case Suggested(spec=spec) | Reused(spec=spec):
            return spec.key
        case Finished(outcome=outcome):
            return outcome.key
        case Proposed():
            return ""
    return event.key


def ended_ms(event: Event) -> int | None:
    """When the attempt ended, if `event` is the end of one; else None."""
    match event:
        case Finished(outcome=outcome) | Reused(outcome=outcome):
            return outcome.ended_ms
        case Abandoned(at_ms=at_ms):
            return at_ms
    return None
