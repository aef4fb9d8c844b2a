"""Checks the journal, by itself and against the database.

The journal wins, unless the database holds an attempt of another driver that the journal lacks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sweeper.records import Outcome, TrialRow, TrialSpec, flat_params
from sweeper.store.differences import same
from sweeper.store.fsck.disagreement import Disagreement, best_run, display_name
from sweeper.store.fsck.evidence import Damage, Evidence
from sweeper.store.fsck.inspection import ENDED, StoredRun
from sweeper.store.fsck.journal_text import JournalText
from sweeper.store.fsck.rebuild import CompleteJournal
from sweeper.store.fsck.repair import (
    MoveTorn,
    NoteShipped,
    Repair,
    Restore,
    RewriteJournal,
    RunAgain,
)
from sweeper.store.fsck.ship_repairs import Overwrite, Ship
from sweeper.store.journal import History
from sweeper.store.journal.lines import lines_named
from sweeper.store.run_format.record import MAX_TAG_CHARS

_MOST_LINES = 5  # listed one by one


def check_journal(e: Evidence) -> Iterator[Disagreement]:
    """Unreadable records, and records that are useless without them."""
    unrecorded = unrecorded_rows(e)
    if e.journal is not None:
        yield from _check_text(e, e.journal, unrecorded)
    if unrecorded:
        yield _check_unrecorded(e, unrecorded)


def _check_text(
    e: Evidence, journal: JournalText, unrecorded: dict[str, TrialRow]
) -> Iterator[Disagreement]:
    lost = journal.history.outcomes.keys() - journal.history.specs.keys() - unrecorded.keys()
    rewrite = RewriteJournal(journal.next_copy, frozenset(lost))
    damaged = journal.damaged_lines
    if len(damaged) > _MOST_LINES:
        problem = f"{lines_named(damaged)} cannot be read"
        yield Disagreement(e.sweep, "journal", "journal.log", problem, rewrite)
    for line in damaged if len(damaged) <= _MOST_LINES else ():
        where = f"journal.log line {line}"
        yield Disagreement(e.sweep, "journal", where, "cannot be read", rewrite)
    for line in journal.later_lines:
        problem = "was written by a later version of this program"
        yield Disagreement(e.sweep, "journal", f"journal.log line {line}", problem, None)
    if journal.torn_bytes and not e.driver:
        yield torn(e.sweep, journal.torn_bytes)
    for key in sorted(lost):
        problem = "its end is in the journal, its declaration is not"
        yield Disagreement(e.sweep, "journal", f"trial {key[:12]}", problem, rewrite)


def torn(sweep: str, n_bytes: int) -> Disagreement:
    """The disagreement for half a record at the end of a journal."""
    problem = f"ends in half a record ({n_bytes:,} bytes): its writer was cut off"
    return Disagreement(sweep, "journal", "journal.log", problem, MoveTorn())


def unrecorded_rows(e: Evidence) -> dict[str, TrialRow]:
    """By key, trials that drivers of this store wrote to the database and the journal lacks.

    The journal was truncated, emptied, deleted, or replaced by an older copy.
    """
    history = e.journal.history if e.journal else History()
    if e.driver:
        return {}
    best = (best_run(e, key) for key in e.trials if key)
    return {
        run.key: run.row
        for run in best
        if run
        and run.row
        and (e.in_store_folder or run.is_ours or run.key in {*history.specs, *history.outcomes})
        and _is_unrecorded(run.row, e.journal)
    }


def _is_unrecorded(row: TrialRow, journal: JournalText | None) -> bool:
    if journal is None or row.key not in journal.history.specs:
        return True
    if row.state not in ENDED or row.reused_from:
        return False
    if (
        outcome := journal.history.outcomes.get(row.key)
    ) is not None:  # is it of an earlier attempt?
        return min(row.started_ms - outcome.started_ms, row.ended_ms - outcome.ended_ms) > 0
    # A trial that was started again (`--force`) has an earlier end, which the database may hold.
    has_one_end = row.key not in journal.artifacts or row.key not in journal.unshipped
    saw_start = has_one_end and row.key not in journal.withdrawn
    return saw_start or row.ended_ms >= journal.history.last_ms.get(row.key, 0)


def _check_unrecorded(e: Evidence, unrecorded: dict[str, TrialRow]) -> Disagreement:
    held = f"the database holds {len(unrecorded)} trial{'s' if len(unrecorded) > 1 else ''}"
    labels = [row.label for row in unrecorded.values()]
    shown = ", ".join([*labels[:3], *(["..."] if len(labels) > 3 else [])])
    others = {run.driver for key in unrecorded if (run := best_run(e, key)) and not run.is_ours}
    if e.journal is None:
        problem = f"{held}, the journal is missing"
    elif e.journal.is_empty:
        problem = f"{held}, the journal is empty"
    elif others and not e.in_store_folder and unrecorded.keys() <= e.journal.history.specs.keys():
        names = ", ".join(sorted(others))
        problem = f"the journal is out of date: {names} ran these trials again later ({shown})"
    else:
        problem = f"{held} whose latest state is not in the journal ({shown})"
    repair = CompleteJournal(tuple(unrecorded.values()))
    return Disagreement(e.sweep, "journal", "journal.log", problem, repair)


def check_outcomes(e: Evidence) -> Iterator[Disagreement]:
    """Finished trials of the journal that the database lacks or holds with other values."""
    journal = e.journal
    if journal is None:
        return
    unrecorded = unrecorded_rows(e)
    for key, outcome in journal.history.outcomes.items():
        spec = journal.history.specs.get(key)
        is_removed = journal.history.run_ids.get(key) in e.removed  # see `check_removals`
        if spec is None or key in unrecorded or is_removed:
            continue
        if key not in journal.unshipped:
            yield from _check_shipped(e, journal, spec, outcome)
        elif not e.driver:
            yield _check_unshipped(e, journal, spec, outcome)


def _check_unshipped(
    e: Evidence, journal: JournalText, spec: TrialSpec, outcome: Outcome
) -> Disagreement:
    run = best_run(e, spec.key)
    if run and run.row and not e.damaged.get(run.run_id) and not unequal(spec, outcome, run):
        problem = f"run {run.run_id[:12]} holds it, and the journal does not say so"
        done = NoteShipped(spec.key, run.run_id)
        return Disagreement(e.sweep, "unshipped", display_name(spec), problem, done)
    problem = f"{outcome.state} in the journal, not in the database"
    repair = _shipping(e, journal, spec.key, run)
    if isinstance(repair, RunAgain):
        problem += f", and {repair.reason}"
    return Disagreement(e.sweep, "unshipped", display_name(spec), problem, repair)


def _check_shipped(
    e: Evidence, journal: JournalText, spec: TrialSpec, outcome: Outcome
) -> Iterator[Disagreement]:
    run, shipped = best_run(e, spec.key), journal.history.run_ids.get(spec.key, "")
    if run is None:
        deleted = any(known.run_id == shipped for known in e.runs)
        repair = Restore(shipped) if deleted else _shipping(e, journal, spec.key, None)
        problem = "was deleted in the database" if deleted else "is not in the database"
        problem = f"run {shipped[:12]} {problem}"
        yield Disagreement(e.sweep, "missing", display_name(spec), problem, repair)
    elif run.row is None:
        yield Disagreement(e.sweep, "record", display_name(run), run.trouble, Overwrite(spec.key))
    elif not (e.driver and run.is_running):  # another driver has started it again
        for problem in unequal(spec, outcome, run):
            yield Disagreement(e.sweep, "value", display_name(run), problem, Overwrite(spec.key))


def _shipping(e: Evidence, journal: JournalText, key: str, run: StoredRun | None) -> Repair:
    """Ship from the journal if there is a copy of every artifact, else run the trial again."""
    outcome = journal.history.outcomes[key]
    if key in journal.history.sources:
        return Ship(key)
    lost = e.staged.get(key, [Damage(a, "is not staged any more") for a in outcome.artifacts])
    gone = [damage for damage in lost if not e.copy_of(damage)]
    if not gone:
        return Ship(key, tuple((d.artifact, e.copies[d.artifact.sha256]) for d in lost))
    reason = f"its artifact {gone[0].artifact.path} {gone[0].problem}"
    return RunAgain(e.sweep, key, run.run_id if run else "", reason)


def unequal(spec: TrialSpec, outcome: Outcome, run: StoredRun) -> list[str]:
    """One line per value that differs between database and journal."""
    assert run.row is not None
    journal, database = _as_journaled(spec, outcome), _as_stored(run.row)
    lines = [
        _line(name, journal.get(name), database.get(name))
        for name in {**journal, **database}
        if journal.get(name) != database.get(name)
    ]
    if run.row.state == outcome.state and run.status != run.expected_status:
        lines.append(f"status: {run.status} in MLflow, {run.expected_status} is {outcome.state}")
    for name in {**outcome.metrics, **run.row.metrics}:
        left, right = outcome.metrics.get(name), run.row.metrics.get(name)
        if not same(left, right):
            lines.append(_line(f"metric {name}", left, right))
    return lines


def _line(name: str, left: Any, right: Any) -> str:
    return f"{name}: {_short(left)} in the journal, {_short(right)} in the database"


def _as_journaled(spec: TrialSpec, outcome: Outcome) -> dict[str, Any]:
    return {
        "state": str(outcome.state),
        "uncertified": outcome.uncertified[:MAX_TAG_CHARS],
        "error": outcome.error[:MAX_TAG_CHARS],
        "kind": f"{spec.kind} version {spec.kind_version}",
        **{f"config {name}": value for name, value in flat_params(spec.config).items()},
        **{f"input {name}": digest for name, digest in spec.input_digests.items()},
        **{f"fact {name}": text for name, text in outcome.facts.items()},
        **{f"provenance {name}": text for name, text in outcome.provenance.items()},
        **{f"recorded artifact {a.path}": a.sha256 for a in outcome.artifacts},
    }


def _as_stored(row: TrialRow) -> dict[str, Any]:
    named = {
        f"input {name.removeprefix('input.')}"
        if name.startswith("input.")
        else f"provenance {name}": text
        for name, text in row.provenance.items()
    }
    return {
        "state": str(row.state),
        "uncertified": row.uncertified,
        "error": row.error,
        "kind": f"{row.kind} version {row.kind_version}",
        **{f"config {name}": value for name, value in row.params.items()},
        **named,
        **{f"fact {name}": text for name, text in row.facts.items()},
        **{f"recorded artifact {a.path}": a.sha256 for a in row.artifacts},
    }


def _short(value: Any) -> str:
    text = "nothing" if value is None else repr(value) if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else text[:59] + "…"
