"""Where a driver starts: its plan, and what need not be run according to journal and database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import NamedTuple

from rich.console import Console

from sweeper.declare.sweep import Sweep
from sweeper.errors import UserError, disk_full_named
from sweeper.records import TrialState
from sweeper.run.driver.claim import Claim, patiently
from sweeper.run.driver.members import Existing
from sweeper.run.driver.shipping import say
from sweeper.run.driver.submission import Submission
from sweeper.run.plan import DONE, Plan, Retry, make_plan
from sweeper.run.preflight import preflight
from sweeper.run.runner import Runner
from sweeper.store.artifacts import StagingArea
from sweeper.store.index import StoredTrial, read_index
from sweeper.store.journal import (
    Abandoned,
    Event,
    Finished,
    History,
    Journal,
    Shipped,
    key_of,
    recorded,
    replay,
)
from sweeper.store.location import Store
from sweeper.store.opening import open_reader
from sweeper.store.sqlite_file import network_notice


class Start(NamedTuple):
    """What a driver holds and knows before its first trial.

    Attributes:
        journal: the sweep's journal, locked.
        submission: its place in the database, with the sweep's lease.
        plan: what exists and what must run.
        history: what earlier drivers left in the journal.
        existing: finished trials by key.
        staging: where artifacts wait until the database has them.
    """

    journal: Journal
    submission: Submission
    plan: Plan
    history: History
    existing: dict[str, Existing]
    staging: StagingArea


@contextmanager
def started(
    sweep: Sweep, store: Store, runner: Runner, console: Console, retry: Retry
) -> Iterator[Start]:
    """Check the sweep, lock it, and gather what exists; within the block it stays locked.

    Raises:
        Held: another driver has the sweep.
        UserError: `preflight` refuses it, an input is missing, the store does not answer, or the
            database of the store folder was lost.
        DiskFull: the block, or what comes before it, had no room.
    """
    done = retry.done_states(sweep)
    stored = read_index(store)
    plan = make_plan(sweep, stored, retry=retry)
    preflight(sweep, store, plan, stored, runner=runner, retry=retry)
    folder = store.sweep_dir(sweep.name)
    with (
        closing(Journal(folder)) as journal,
        disk_full_named(folder),
        closing(Claim(store, sweep.name, journal)) as claim,
    ):
        submission = Submission(sweep, store, claim)
        if submission.is_left_open or not _is_settled(plan, sweep.name, stored, done, journal):
            if not store.is_folder:
                patiently(claim.take)
            # Read without the lock, so another driver may have ended since.
            if (now := patiently(lambda: read_index(store))) != stored:
                stored, plan = now, make_plan(sweep, now, retry=retry)
        where = network_notice(store.database) if store.is_local_file else ""
        for notice in filter(None, (plan.note, where, *journal.notices, claim.notice)):
            say(console, notice)
        staging = StagingArea(folder / "staged")
        history = _open_history(journal, staging, sweep.name, store, stored)
        existing = _existing_trials(sweep.name, store, history, stored, done)
        yield Start(journal, submission, plan, history, existing, staging)


def _open_history(
    journal: Journal, staging: StagingArea, sweep: str, store: Store, stored: Sequence[StoredTrial]
) -> History:
    """What earlier drivers left, with journal and staging area as they should have left them.

    An outcome that another driver produced later, or that only the database has because the journal
    was cut or is an older copy, is copied from the database. One that the database has already is
    noted as shipped. A trial whose staged artifacts were lost before the database had them is
    abandoned, and so is run again.

    Raises:
        UserError: the database of the store folder was lost.
    """
    history = replay(journal.earlier)
    if store.is_folder and not store.exists() and history.run_ids:
        raise UserError(
            f"the database is gone; the journal knows {len(history.run_ids)} trials that it held",
            where=str(store.database),
            hint="'sweeper fsck --repair' rebuilds it; without the folder 'sweeps' all run again",
        )
    later = _later_outcomes(history, sweep, store, stored)
    history = replay([*journal.earlier, *later])
    held = {(g.key, g.ended_ms): g.run_id for g in stored if g.sweep == sweep and g.state in DONE}
    notes = [*later]
    staged: set[str] = set()
    for outcome in (e.outcome for e in history.unshipped if isinstance(e, Finished)):
        key, ended_ms = outcome.key, outcome.ended_ms
        if run_id := held.get((key, ended_ms)):
            notes.append(Shipped(key=key, run_id=run_id, ended_ms=ended_ms))
            continue
        try:
            staging.verify(key, outcome.artifacts)
            staged.add(key)
        except UserError as error:
            notes.append(Abandoned(key=key, reason=str(error)))
    staging.keep_only(staged)
    if not notes:
        return history
    journal.append(*notes)
    return replay([*journal.earlier, *notes])


def _later_outcomes(
    history: History, sweep: str, store: Store, stored: Sequence[StoredTrial]
) -> list[Event]:
    """What the journal lacks: trials of the sweep that ended after its last word on them."""
    ended = {g.key: g.ended_ms for g in stored if g.sweep == sweep and g.state in DONE}
    last = {key: history.last_ms.get(key, 0) for key in history.specs}
    keys = sorted(key for key, last_ms in last.items() if ended.get(key, 0) > last_ms > 0)
    if not keys:
        return []
    rows = open_reader(store).rows([sweep], keys)
    return [event for row in rows for event in recorded(row, history.specs[row.key])]


def _existing_trials(
    sweep: str,
    store: Store,
    history: History,
    stored: Sequence[StoredTrial],
    done: frozenset[TrialState],
) -> dict[str, Existing]:
    """Finished trials by key; `done` are the states that need no new run.

    The journal's word counts where the database has the trial too, or will get it from there. For
    what the journal holds unfinished, the sweep's own row in the database is out of date.
    """
    begun_again = {spec.key for spec in history.unfinished}
    answers = [g for g in stored if g.state in done]
    here, anywhere = {g.key for g in answers if g.sweep == sweep}, {g.key for g in answers}
    expected = here | {key_of(event) for event in history.unshipped}
    found = {
        key: Existing(outcome, sweep, history.run_ids.get(key) or history.sources.get(key, ""))
        for key, outcome in history.outcomes.items()
        if outcome.state in done and key in expected and key in history.specs
    }
    if missing := anywhere - found.keys():
        rows = open_reader(store).rows(keys=sorted(missing))
        # A sweep's own row is preferred to that of another sweep.
        for row in sorted(rows, key=lambda row: row.sweep == sweep):
            if row.state not in done or (row.sweep == sweep and row.key in begun_again):
                continue
            # What was taken from a trial of this sweep that must run again is no source for it.
            if row.reused_from != history.run_ids.get(row.key):
                found[row.key] = Existing(row.outcome, row.sweep, row.reused_from or row.run_id)
    return found


def _is_settled(
    plan: Plan,
    sweep: str,
    stored: Sequence[StoredTrial],
    done: frozenset[TrialState],
    journal: Journal,
) -> bool:
    """Whether nothing is left to write: the sweep's own trials are all in the store."""
    here = {g.key for g in stored if g.sweep == sweep and g.state in done}
    history = replay(journal.earlier)
    in_flight = history.unshipped or history.left_running
    return bool(plan.specs) and not in_flight and all(spec.key in here for spec in plan.specs)
