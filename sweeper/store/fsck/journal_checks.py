"""What the journal says, by itself and held against the database.

The journal wins, unless the database holds an attempt of another driver that the journal does not
know.
"""

from __future__ import annotations

from collections.abc import Iterator

from sweeper.records import Outcome, TrialRow, TrialSpec
from sweeper.store.fsck.disagreement import Disagreement, name_of, run_of
from sweeper.store.fsck.evidence import Damage, Evidence, JournalText
from sweeper.store.fsck.inspection import ENDED, StoredRun
from sweeper.store.fsck.repair import (
    NoteFinished,
    NoteShipped,
    Overwrite,
    Repair,
    Restore,
    RewriteJournal,
    RunAgain,
    Ship,
)
from sweeper.store.fsck.values import unequal


def of_journal(e: Evidence) -> Iterator[Disagreement]:
    """Records that cannot be read, and records that mean nothing without them."""
    journal = e.journal
    if journal is None:
        return
    for line in journal.damaged_lines:
        where = f"journal.log line {line}"
        yield Disagreement(e.sweep, "journal", where, "cannot be read", RewriteJournal())
    if journal.torn_bytes and not e.driver:
        yield torn(e.sweep, journal.torn_bytes)
    for key in sorted(journal.history.outcomes.keys() - journal.history.specs.keys()):
        problem = "its end is in the journal, its declaration is not"
        yield Disagreement(e.sweep, "journal", f"trial {key[:12]}", problem, RewriteJournal())


def torn(sweep: str, n_bytes: int) -> Disagreement:
    """Half a record at the end of a journal."""
    problem = f"ends in half a record ({n_bytes:,} bytes): its writer was cut off"
    return Disagreement(sweep, "journal", "journal.log", problem, RewriteJournal())


def of_outcomes(e: Evidence) -> Iterator[Disagreement]:
    """Finished trials of the journal that the database lacks or holds otherwise."""
    journal = e.journal
    if journal is None:
        return
    for key, outcome in journal.history.outcomes.items():
        spec = journal.history.specs.get(key)
        if spec is None:
            continue
        if key not in journal.unshipped:
            yield from _of_shipped(e, journal, spec, outcome)
        elif not e.driver:
            yield _of_unshipped(e, journal, spec, outcome)


def _of_unshipped(
    e: Evidence, journal: JournalText, spec: TrialSpec, outcome: Outcome
) -> Disagreement:
    run = run_of(e, spec.key)
    if run and run.row and _is_later(run.row, outcome):
        return _out_of_date(e, run, run.row)
    if run and run.row and not e.damaged.get(run.run_id) and not unequal(spec, outcome, run):
        problem = f"run {run.run_id[:12]} holds it, and the journal does not say so"
        done = NoteShipped(spec.key, run.run_id)
        return Disagreement(e.sweep, "unshipped", name_of(spec), problem, done)
    problem = f"{outcome.state} in the journal, not in the database"
    repair = _shipping(e, journal, spec.key, run)
    if isinstance(repair, RunAgain):
        problem += f", and {repair.reason}"
    return Disagreement(e.sweep, "unshipped", name_of(spec), problem, repair)


def _of_shipped(
    e: Evidence, journal: JournalText, spec: TrialSpec, outcome: Outcome
) -> Iterator[Disagreement]:
    run, shipped = run_of(e, spec.key), journal.history.run_ids.get(spec.key, "")
    if run is None:
        deleted = any(known.run_id == shipped for known in e.runs)
        repair = Restore(shipped) if deleted else _shipping(e, journal, spec.key, None)
        problem = "was deleted in the database" if deleted else "is not in the database"
        problem = f"run {shipped[:12]} {problem}"
        yield Disagreement(e.sweep, "missing", name_of(spec), problem, repair)
    elif run.row is None:
        yield Disagreement(e.sweep, "record", name_of(run), run.trouble, Overwrite(spec.key))
    elif _is_later(run.row, outcome):
        yield _out_of_date(e, run, run.row)
    elif not (e.driver and run.is_running):  # another driver has begun it again
        for problem in unequal(spec, outcome, run):
            yield Disagreement(e.sweep, "value", name_of(run), problem, Overwrite(spec.key))


def _is_later(row: TrialRow, outcome: Outcome) -> bool:
    """Whether the database holds a later attempt than the last one that the journal knows."""
    has_ended = row.state in ENDED
    return has_ended and row.started_ms > outcome.started_ms and row.ended_ms > outcome.ended_ms


def _out_of_date(e: Evidence, run: StoredRun, row: TrialRow) -> Disagreement:
    problem = f"the journal is out of date: {run.driver} ran this trial again later"
    return Disagreement(e.sweep, "journal", name_of(run), problem, NoteFinished(row))


def _shipping(e: Evidence, journal: JournalText, key: str, run: StoredRun | None) -> Repair:
    """Ship from the journal if every artifact can be had, else run the trial again."""
    outcome = journal.history.outcomes[key]
    if key in journal.history.sources:
        return Ship(key)
    lost = e.staged.get(key, [Damage(a, "is not staged any more") for a in outcome.artifacts])
    gone = [damage for damage in lost if not e.copy_of(damage)]
    if not gone:
        return Ship(key, tuple((d.artifact, e.copies[d.artifact.sha256]) for d in lost))
    reason = f"its artifact {gone[0].artifact.path} {gone[0].problem}"
    return RunAgain(e.sweep, key, run.run_id if run else "", reason)
