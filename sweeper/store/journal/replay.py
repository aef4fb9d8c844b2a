"""Replays a journal in one pass: the state of every trial after all drivers so far."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sweeper.records import Outcome, TrialRow, TrialSpec
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
    key_of,
)


@dataclass(frozen=True)
class History:
    """The state of a sweep's trials. Only the latest attempt at a trial counts.

    Attributes:
        proposals: what an adaptive search proposed, in order.
        specs: every trial that was ever suggested or reused, by key.
        unfinished: trials that began and have no outcome, in the order of their latest start.
        reports: progress of trials, in order. An interrupted attempt's reports count too, since the
            next attempt resumes from its checkpoint.
        outcomes: by key, of finished and of reused trials.
        sources: by key, the run of another sweep from which an outcome is reused.
        run_ids: by key, the run that holds the trial in the database.
        left_running: keys of unfinished trials whose driver died before it could record an end.
        unshipped: events of begun trials that the database may lack, grouped by trial, without
            the ends of earlier attempts.
        last_ms: by key, time of the trial's latest event (Unix time, milliseconds).
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
    """The state after `events`, which come oldest first."""
    proposals: list[Proposed] = []
    specs: dict[str, TrialSpec] = {}
    unfinished: dict[str, bool] = {}  # key -> whether its driver may have left it running
    reports: list[Reported] = []
    outcomes: dict[str, Outcome] = {}
    sources: dict[str, str] = {}
    run_ids: dict[str, str] = {}
    pending: dict[str, list[Event]] = {}
    last_ms: dict[str, int] = {}
    first_report: dict[str, int] = {}  # of a trial that was removed
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
            case Removed(key=key):
                for known in (specs, outcomes, sources, unfinished, run_ids, pending, last_ms):
                    known.pop(key, None)
                first_report[key] = len(reports)
    return History(
        proposals=tuple(proposals),
        specs=specs,
        unfinished=tuple(specs[key] for key in unfinished if key in specs),
        reports=tuple(r for at, r in enumerate(reports) if at >= first_report.get(r.key, 0)),
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
    """The events that record an outcome which only the database has."""
    end: Event = Finished(outcome=row.outcome)
    if row.reused_from:
        end = Reused(spec=spec, outcome=row.outcome, run_id=row.reused_from)
    return end, Shipped(key=row.key, run_id=row.run_id, ended_ms=row.ended_ms)


def _at_ms(event: Event) -> int:
    """Time of an event of a worker; 0 for other events."""
    if isinstance(event, Started | Reported):
        return event.at_ms
    return ended_ms(event) or 0


def _after(at_ms: int, trial: list[Event]) -> list[Event]:
    """The events of a trial after the end at `at_ms`; none if that is 0."""
    ends = [number for number, event in enumerate(trial) if ended_ms(event) == at_ms]
    return trial[ends[-1] + 1 :] if ends and at_ms else []


def _current(trial: list[Event]) -> list[Event]:
    """The events of a trial without the ends of attempts that were followed by another."""
    turns = [n for n, e in enumerate(trial) if isinstance(e, Started) or ended_ms(e) is not None]
    return [e for n, e in enumerate(trial) if ended_ms(e) is None or n == turns[-1]]
