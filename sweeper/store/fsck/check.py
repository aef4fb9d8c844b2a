"""fsck: gather evidence, find disagreements, repair them, and check again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

from sweeper.errors import UserError, nearest, one_line
from sweeper.store.artifacts import StagingArea
from sweeper.store.fsck.disagreement import Disagreement
from sweeper.store.fsck.evidence import Evidence, FileIndex, gather
from sweeper.store.fsck.file_checks import check_artifacts, check_folders
from sweeper.store.fsck.inspection import Inspection
from sweeper.store.fsck.journal_checks import check_journal, check_outcomes, torn, unrecorded_rows
from sweeper.store.fsck.journal_text import ShippedRuns, read_journal_text
from sweeper.store.fsck.rebuild import CompleteJournal
from sweeper.store.fsck.removal_checks import FinishSweep, check_half_removed, check_removals
from sweeper.store.fsck.repair import RepairContext, RewriteJournal
from sweeper.store.fsck.run_checks import (
    RestoreSubmissions,
    check_orphans,
    check_runs,
    check_submissions,
)
from sweeper.store.fsck.run_editor import RunEditor
from sweeper.store.journal import Journal, Reused
from sweeper.store.location import Store
from sweeper.store.relocation import relocate
from sweeper.store.removal.hold import hold, refuse_running, running_driver
from sweeper.store.tracking import Results, Tracking, removed_sweeps

_MOST_ROUNDS = 6  # a restored run may turn out damaged, a shipped one a duplicate


@dataclass(frozen=True)
class SweepCheck:
    """The result of fsck for one sweep.

    Attributes:
        driver: who runs the sweep now ("" if nobody does); its unfinished work is not checked.
        n_trials: number of its trials in the database.
        disagreements: what is wrong (after repairs, if any).
        repaired: what was wrong and has been repaired.
        failures: why a repair failed, by the name of its disagreement.
    """

    sweep: str
    driver: str
    n_trials: int
    disagreements: Sequence[Disagreement]
    repaired: Sequence[Disagreement] = ()
    failures: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Repairing:
    """A sweep under repair. If it has a journal, we hold its lock."""

    journal: Journal | None
    repaired: list[Disagreement] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def find_disagreements(evidence: Evidence) -> list[Disagreement]:
    """Everything that is wrong with a sweep, in the order in which it is repaired.

    Unfinished work of a running driver is no disagreement, nor is a trial that waits for the next
    `run`.
    """
    if evidence.is_half_removed:
        return list(check_half_removed(evidence))
    disagreements = [
        *check_removals(evidence),
        *check_orphans(evidence),
        *check_journal(evidence),
        *check_outcomes(evidence),
        *check_runs(evidence),
        *check_artifacts(evidence),
        *check_submissions(evidence),
    ]
    if not evidence.driver and not unrecorded_rows(evidence):  # else folders may still be needed
        disagreements += check_folders(evidence, [d.repair for d in disagreements])
    return disagreements


def check(store: Store, sweeps: Sequence[str] = ()) -> Iterator[SweepCheck]:
    """Check the named sweeps (by default all), one after the other. Changes nothing.

    Raises:
        UserError: no such sweep, or the store does not answer.
    """
    results = Results(store) if store.exists() else None
    chosen = _chosen(store, results, sweeps)
    drivers = {sweep: running_driver(store, results, sweep) for sweep in chosen}
    inspection = Inspection(results) if results else None
    files = _files(store)
    for evidence in _gather(store, inspection, chosen, drivers, files):
        yield _checked(evidence)


def repair(store: Store, sweeps: Sequence[str] = ()) -> Iterator[SweepCheck]:
    """Repair what can be repaired, and check again until nothing more can be.

    Raises:
        UserError: as `check`, and if a driver runs one of the sweeps: then nothing is changed.
    """
    existing = Results(store) if store.exists() else None
    chosen = _chosen(store, existing, sweeps)
    relocate(store)
    tracking = Tracking(store, existing)
    stored = existing.sweep_names() if existing else []
    with ExitStack() as locks:
        under_repair = {name: _Repairing(None) for name in chosen}
        for sweep in chosen:
            refuse_running(store, existing, sweep, "nothing is repaired")
            journal = hold(tracking, sweep, locks, is_stored=sweep in stored)
            under_repair[sweep].journal = journal
            if journal and journal.n_torn_bytes:  # opening the journal has repaired it
                under_repair[sweep].repaired.append(torn(sweep, journal.n_torn_bytes))
        files = _files(store)
        for sweep in sorted(chosen, key=lambda sweep: _takes_from_others(under_repair[sweep])):
            yield _repair(tracking, sweep, under_repair[sweep], locks, files)


def _takes_from_others(state: _Repairing) -> bool:
    """Whether the sweep reuses trials of other sweeps, which must be repaired first."""
    return any(isinstance(e, Reused) for e in (state.journal.earlier if state.journal else ()))


def _repair(
    tracking: Tracking,
    sweep: str,
    state: _Repairing,
    locks: ExitStack,
    files: FileIndex,
) -> SweepCheck:
    store, inspection = tracking.store, Inspection(tracking.results)

    def begin_journal() -> Journal:
        state.journal = locks.enter_context(closing(Journal(store.sweep_dir(sweep))))
        return state.journal

    for _ in range(_MOST_ROUNDS):
        [evidence] = _gather(store, inspection, [sweep], {}, files)
        disagreements = find_disagreements(evidence)
        context = RepairContext(
            evidence,
            inspection,
            tracking,
            RunEditor(tracking),
            state.journal,
            StagingArea(store.sweep_dir(sweep) / "staged"),
            begin_journal,
        )
        if not _apply(disagreements, context, state):
            break
    else:
        [evidence] = _gather(store, inspection, [sweep], {}, files)
    after = _checked(evidence)
    left = {d.name for d in after.disagreements}
    return SweepCheck(
        sweep=sweep,
        driver="",
        n_trials=after.n_trials,
        disagreements=after.disagreements,
        repaired=[d for d in state.repaired if d.name not in left],
        failures=state.failures,
    )


def _apply(
    disagreements: Sequence[Disagreement], context: RepairContext, state: _Repairing
) -> bool:
    """Apply each repair once; returns whether a new repair was applied."""
    done: set[str] = set()
    tried = {d.name for d in state.repaired}
    is_rewritten = False
    for disagreement in disagreements:
        repair = disagreement.repair
        if repair is None or disagreement.name in tried:
            continue
        if is_rewritten and repr(repair) not in done:
            break  # the rest must be checked again, with the new journal or runs
        try:
            if repr(repair) not in done:  # several disagreements may share one repair
                repair.apply(context)
                done.add(repr(repair))
        except Exception as error:  # a failed repair must not stop the others
            text = (
                str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            )
            state.failures[disagreement.name] = one_line(text, 300)
        else:
            state.repaired.append(disagreement)
            is_rewritten = isinstance(
                repair, RewriteJournal | CompleteJournal | RestoreSubmissions | FinishSweep
            )
    return bool(done)


def _gather(
    store: Store,
    inspection: Inspection | None,
    sweeps: Sequence[str],
    drivers: Mapping[str, str],
    files: FileIndex,
) -> Iterator[Evidence]:
    """Evidence of each sweep in turn. The database is read once, after all journals."""
    journals = {s: read_journal_text(store.sweep_dir(s) / "journal.log") for s in sweeps}
    runs = inspection.runs() if inspection else []
    half_removed = removed_sweeps(inspection.results, half=True) if inspection else set()
    sources = ShippedRuns(store.root / "sweeps")
    for sweep in sweeps:
        yield gather(
            sweep,
            store,
            inspection,
            runs,
            journal=journals[sweep],
            driver=drivers.get(sweep, ""),
            files=files,
            sources=sources,
            is_half_removed=sweep in half_removed,
        )


def _files(store: Store) -> FileIndex:
    """Possible copies of lost files: artifacts and reports in the store folder."""
    return FileIndex(store.root / "artifacts", store.root.glob("sweeps/*/*"))


def _checked(evidence: Evidence) -> SweepCheck:
    n_trials = sum(run.role == "trial" and not run.deleted for run in evidence.runs)
    return SweepCheck(evidence.sweep, evidence.driver, n_trials, find_disagreements(evidence))


def _chosen(store: Store, results: Results | None, sweeps: Sequence[str]) -> list[str]:
    folder = store.root / "sweeps"
    with_folder = (
        [path.name for path in folder.glob("[!.]*") if path.is_dir()] if folder.is_dir() else []
    )
    stored = results.sweep_names() if results else ()
    deleted = results.deleted_sweeps() if results else ()
    known = sorted({*with_folder, *stored})
    if not known and not sweeps:
        raise UserError("there is no sweep yet", where=str(store.root), hint="see 'sweeper run'")
    for name in sweeps:
        if name not in (*known, *deleted):
            raise UserError(f"the store holds no sweep '{name}'", hint=nearest(name, known))
    return list(sweeps) or known
