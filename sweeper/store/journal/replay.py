"""What a journal says: every trial's standing after all drivers so far, in one pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sweeper.records import Outcome, TrialRow, TrialSpec
from sweeper.store.journal.events import (
    Abandoned,
    Event,
    Finished,
    Proposed,
    Reported,
    Reused,
    Shipped,
    Started,
    Suggested,
    ended_ms,
    key_of,
)


@dataclass(frozen=True)
class History:
    """The standing of a sweep's trials. The last attempt at a trial is the one that counts.

    Attributes:
        proposals: what the search asked for, in order.
        specs: every trial that was ever suggested or reused, by key.
        unfinished: trials that began and have no outcome, in the order of their (last) start.
        reports: progress of trials, in order; an interrupted attempt's, too, since the next goes
            on from its checkpoint.
        outcomes: by key, those of finished and of reused trials.
        sources: by key, the run of another sweep that a reused outcome was taken from.
        run_ids: by key, where the database holds the trial.
        left_running: keys of unfinished trials whose driver died without a word on them.
        unshipped: events of begun trials that the database may not hold, trial by trial; what an
            earlier attempt came to is not among them.
        last_ms: by key, when the journal last spoke of the trial (Unix time, milliseconds).
    """

    proposals: tuple[Proposed, ...] = ()
    specs: dict[str, TrialSpec] = field(default_factory=dict)
    unfinished: tuple[TrialSpec, ...] = ()
    reports: tuple[Reported, ...] = ()
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    run_ids: dict[str, str] = field(default_factory=dict)
    left_running: frozenset[str] = frozenset()
    unshipped: tuple[Event, ...] = ()
    last_ms: dict[str, int] = field(default_factory=dict)


def replay(events: Iterable[Event]) -> History:
    """Read `events`, oldest first."""
    proposals: list[Proposed] = []
    specs: dict[str, TrialSpec] = {}
    unfinished: dict[str, bool] = {}  # key -> whether its driver may have left it running
    reports: list[Reported] = []
    outcomes: dict[str, Outcome] = {}
    sources: dict[str, str] = {}
    run_ids: dict[str, str] = {}
    pending: dict[str, list[Event]] = {}
    last_ms: dict[str, int] = {}
    for event in events:
        if at_ms := _at_ms(event):
            last_ms[key_of(event)] = max(at_ms, last_ms.get(key_of(event), 0))
        match event:
            case Proposed():
                proposals.append(event)
            case Suggested(spec=spec):
                specs[spec.key] = spec
            case Started(key=key):
                outcomes.pop(key, None)
                sources.pop(key, None)
                unfinished.pop(key, None)
                unfinished[key] = True
                pending.setdefault(key, []).append(event)
            case Reported(key=key):
                reports.append(event)
                pending.setdefault(key, []).append(event)
            case Finished(outcome=outcome):
                outcomes[outcome.key] = outcome
                sources.pop(outcome.key, None)
                unfinished.pop(outcome.key, None)
                pending.setdefault(outcome.key, []).append(event)
            case Reused(spec=spec, outcome=outcome, run_id=source):
                specs[spec.key] = spec
                outcomes[spec.key] = outcome
                sources[spec.key] = source
                unfinished.pop(spec.key, None)
                pending.setdefault(spec.key, []).append(event)
            case Abandoned(key=key):
                outcomes.pop(key, None)
                sources.pop(key, None)
                unfinished[key] = False
                pending.setdefault(key, []).append(event)
            case Shipped(key=key, run_id=run_id, ended_ms=at_ms):
                if run_id:
                    run_ids[key] = run_id
                pending[key] = _after(at_ms, pending.get(key, []))
    return History(
        proposals=tuple(proposals),
        specs=specs,
        unfinished=tuple(specs[key] for key in unfinished if key in specs),
        reports=tuple(reports),
        outcomes=outcomes,
        sources=sources,
        run_ids=run_ids,
        left_running=frozenset(
            key for key, running in unfinished.items() if running and key in specs
        ),
        unshipped=tuple(
            event for key, trial in pending.items() if key in specs for event in _current(trial)
        ),
        last_ms=last_ms,
    )


def recorded(row: TrialRow, spec: TrialSpec) -> tuple[Event, Event]:
    """The records of a trial's outcome that only the database knows."""
    end: Event = Finished(outcome=row.outcome)
    if row.reused_from:
        end = Reused(spec=spec, outcome=row.outcome, run_id=row.reused_from)
    return end, Shipped(key=row.key, run_id=row.run_id, ended_ms=row.ended_ms)


def _at_ms(event: Event) -> int:
    """When what `event` tells of happened; 0 if it tells of nothing that a worker did."""
    if isinstance(event, Started | Reported):
        return event.at_ms
    return ended_ms(event) or 0


def _after(at_ms: int, trial: list[Event]) -> list[Event]:
    """The events of a trial behind the end that is of `at_ms`; none if that is 0."""
    ends = [number for number, event in enumerate(trial) if ended_ms(event) == at_ms]
    return trial[ends[-1] + 1 :] if ends and at_ms else []


def _current(trial: list[Event]) -> list[Event]:
    """The events of a trial without the ends of attempts that another one followed."""
    turns = [n for n, e in enumerate(trial) if isinstance(e, Started) or ended_ms(e) is not None]
    return [e for n, e in enumerate(trial) if ended_ms(e) is None or n == turns[-1]]
