"""What need not be run: finished trials, from the sweep's journal and from the database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sweeper.errors import UserError
from sweeper.records import TrialState
from sweeper.run.members import Existing
from sweeper.run.plan import DONE
from sweeper.store.artifacts import StagingArea
from sweeper.store.journal import Abandoned, Finished, Journal, Shipped
from sweeper.store.location import Store
from sweeper.store.peek import Glimpse
from sweeper.store.replay import History, key_of, replay


def open_history(
    journal: Journal, staging: StagingArea, sweep: str, store: Store, stored: Sequence[Glimpse]
) -> History:
    """What earlier drivers left, with journal and staging area as they should have left them.

    An outcome that the database has got already is noted as shipped, and one that only the database
    has, since the journal was cut or is an older copy, is noted whole. A trial whose staged
    artifacts were lost before the database had them is abandoned, and so is run again.

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
    newer = list(_newer_ends(sweep, store, history, stored))
    if newer:
        journal.append(*newer)
        history = replay([*journal.earlier, *newer])
    held = {(g.key, g.ended_ms): g.run_id for g in stored if g.sweep == sweep and g.state in DONE}
    notes: list[Shipped | Abandoned] = []
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
    return replay([*journal.earlier, *newer, *notes])


def _newer_ends(
    sweep: str, store: Store, history: History, stored: Sequence[Glimpse]
) -> Iterator[Finished | Shipped]:
    """Ends of trials that the database holds, of later attempts than the journal knows."""
    known_ms = {spec.key: history.last_ms.get(spec.key, 0) - 1 for spec in history.unfinished}
    known_ms = history.last_ms | known_ms  # an end without its place in the journal counts too
    ended = [g for g in stored if g.sweep == sweep and g.state in DONE]
    keys = [g.key for g in ended if g.ended_ms > known_ms.get(g.key, g.ended_ms)]
    if not keys:
        return
    from sweeper.store.tracking import Tracking

    for row in Tracking(store).rows([sweep], keys):
        known = history.outcomes.get(row.key)
        if not row.reused_from and (known is None or row.started_ms > known.started_ms):
            yield Finished(outcome=row.outcome)
            yield Shipped(key=row.key, run_id=row.run_id, ended_ms=row.ended_ms)


def existing_trials(
    sweep: str,
    store: Store,
    history: History,
    stored: Sequence[Glimpse],
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
        from sweeper.store.tracking import Tracking

        rows = Tracking(store).rows(keys=sorted(missing))
        # A sweep's own row is preferred to that of another sweep.
        for row in sorted(rows, key=lambda row: row.sweep == sweep):
            if row.state not in done or (row.sweep == sweep and row.key in begun_again):
                continue
            # What was taken from a trial of this sweep that must run again is no source for it.
            if row.reused_from != history.run_ids.get(row.key):
                found[row.key] = Existing(row.outcome, row.sweep, row.reused_from or row.run_id)
    return found
