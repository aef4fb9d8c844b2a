"""What can happen to a trial, as a journal records it: one frozen record per event."""

from __future__ import annotations

import zlib
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from sweeper.records import Outcome, Record, Scalar, TrialSpec, now_ms
from sweeper.store.journal.lines import Line


class Proposed(Record):
    """The search asked for an assignment; `keys` are its real trials, one a seed (no nulls).

    Only a search that adapts says so: what another asks for stands in the sweep file.
    """

    event: Literal["proposed"] = "proposed"
    number: int
    assignment: dict[str, Scalar]
    keys: tuple[str, ...]


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
    """A trial that another sweep ran already: its outcome stands for `spec` too."""

    event: Literal["reused"] = "reused"
    spec: TrialSpec
    outcome: Outcome
    run_id: str


class Abandoned(Record):
    """The last attempt at this trial left nothing that counts; a later one may.

    `attempt_s` is its wall time, None where nobody saw it end.
    """

    event: Literal["abandoned"] = "abandoned"
    key: str
    reason: str
    attempt_s: float | None = None
    at_ms: int = Field(default_factory=now_ms)


class Shipped(Record):
    """The database holds this trial as `run_id` ("" where it needs no run).

    It holds it up to the end that is of `ended_ms`, or everything before this record where that is
    0: while one attempt is shipped, the next may have begun.
    """

    event: Literal["shipped"] = "shipped"
    key: str
    run_id: str
    ended_ms: int = 0


Event = Proposed | Suggested | Started | Reported | Finished | Reused | Abandoned | Shipped
_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


def event_of(line: Line) -> Event | None:
    """The event that a line records; None where it is damaged or of a later version."""
    if line.payload is None:
        return None
    try:
        return _EVENT.validate_json(line.payload)
    except ValidationError:
        return None


def line_of(event: Event) -> bytes:
    """The line that records an event: its checksum, its JSON."""
    payload = event.model_dump_json().encode()
    return b"%08x %s\n" % (zlib.crc32(payload), payload)


def key_of(event: Event) -> str:
    """The trial that an event is about ("" for a proposal, which may be about several)."""
    match event:
        case Suggested(spec=spec) | Reused(spec=spec):
            return spec.key
        case Finished(outcome=outcome):
            return outcome.key
        case Proposed():
            return ""
    return event.key


def ended_ms(event: Event) -> int | None:
    """When a trial's attempt came to the end that `event` tells of; None if it tells of none."""
    match event:
        case Finished(outcome=outcome) | Reused(outcome=outcome):
            return outcome.ended_ms
        case Abandoned(at_ms=at_ms):
            return at_ms
    return None
