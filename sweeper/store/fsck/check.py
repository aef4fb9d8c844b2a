"""fsck: gather, judge, mend, judge again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

from sweeper.errors import UserError, nearest, one_line
from sweeper.store.artifacts import StagingArea
from sweeper.store.fsck.disagreement import Disagreement
from sweeper.store.fsck.evidence import Evidence, gather
from sweeper.store.fsck.file_checks import of_artifacts, of_folders
from sweeper.store.fsck.file_index import FileIndex
from sweeper.store.fsck.inspection import Inspection
from sweeper.store.fsck.journal_checks import of_journal, of_outcomes, torn, unrecorded_rows
from sweeper.store.fsck.journal_text import ShippedRuns, read_journal_text
from sweeper.store.fsck.rebuild import CompleteJournal
from sweeper.store.fsck.repair import RepairContext, RewriteJournal
from sweeper.store.fsck.run_checks import of_runs
from sweeper.store.fsck.run_editor import RunEditor
from sweeper.store.fsck.submission_checks import RestoreSubmissions, of_orphans, of_submissions
from sweeper.store.journal import Journal, Reused
from sweeper.store.lease import living, living_driver, sweep_lease
from sweeper.store.location import Store
from sweeper.store.relocation import relocate
from sweeper.store.tracking import Results, Tracking

LOCK = "driver.lock"
_MOST_ROUNDS = 6  # what is restored may turn out damaged, what is shipped again a duplicate


@dataclass(frozen=True)
class SweepCheck:
    """What fsck says of one sweep.

    Attributes:
        driver: who runs the sweep now; what is under way is then not judged.
        n_trials: trials that the database holds of it.
        disagreements: what is wrong, after repairs if there were any.
        repaired: what was wrong and is not any more.
        failures: why a repair failed, by the name of what it was to mend.
    """

    sweep: str
    driver: str
    n_trials: int
    disagreements: Sequence[Disagreement]
    repaired: Sequence[Disagreement] = ()
    failures: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Repairing:
    """A sweep under repair, with its lock held if there is a journal."""

    journal: Journal | None
    repaired: list[Disagreement] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def find_disagreements(evidence: Evidence) -> list[Disagreement]:
    """Everything that is wrong with a sweep, in the order in which it is mended.

    What is under way beside a living driver is no disagreement, and neither is a trial that waits
    for the next `run`.
    """
    found = [
        *of_orphans(evidence),
        *of_journal(evidence),
        *of_outcomes(evidence),
        *of_runs(evidence),
        *of_artifacts(evidence),
        *of_submissions(evidence),
    ]
    if not evidence.driver and not unrecorded_rows(evidence):  # else it is not known what is needed
        found += of_folders(evidence, [d.repair for d in found])
    return found


def check(store: Store, sweeps: Sequence[str] = ()) -> Iterator[SweepCheck]:
    """Judge the named sweeps (all when none is named), one after the other; changes nothing.

    Raises:
        UserError: no such sweep, or the store does not answer.
    """
    results = Results(store) if store.exists() else None
    chosen = _chosen(store, results, sweeps)
    drivers = {sweep: _driver(store, results, sweep) for sweep in chosen}
    inspection = Inspection(results) if results else None
    files = _files(store)
    for evidence in _gather(store, inspection, chosen, drivers, files):
        yield _checked(evidence)


def repair(store: Store, sweeps: Sequence[str] = ()) -> Iterator[SweepCheck]:
    """Mend what can be mended, and judge again until nothing more can be.

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
            folder = store.sweep_dir(sweep)
            if driver := _driver(store, existing, sweep):
                raise UserError(
                    f"a driver is running this sweep ({driver}): nothing is repaired",
                    where=str(folder),
                    hint="wait for it, or name other sweeps",
                )
            if (folder / "journal.log").exists():
                journal = locks.enter_context(closing(Journal(folder)))
                under_repair[sweep].journal = journal
                if journal.n_torn_bytes:  # opening is what mends it
                    under_repair[sweep].repaired.append(torn(sweep, journal.n_torn_bytes))
            if sweep in stored:
                _claim(tracking, sweep, locks)
        files = _files(store)
        for sweep in sorted(chosen, key=lambda sweep: _takes_from_others(under_repair[sweep])):
            yield _repair(tracking, sweep, under_repair[sweep], locks, files)


def _takes_from_others(state: _Repairing) -> bool:
    """Whether trials of the sweep are those of other sweeps, which must be mended before it."""
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
        found = find_disagreements(evidence)
        context = RepairContext(
            evidence,
            inspection,
            tracking,
            RunEditor(tracking),
            state.journal,
            StagingArea(store.sweep_dir(sweep) / "staged"),
            begin_journal,
        )
        if not _apply(found, context, state):
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


def _apply(found: Sequence[Disagreement], context: RepairContext, state: _Repairing) -> bool:
    """Apply each repair once; whether any was applied that had not been before."""
    done: set[str] = set()
    tried = {d.name for d in state.repaired}
    is_rewritten = False
    for disagreement in found:
        remedy = disagreement.repair
        if remedy is None or disagreement.name in tried:
            continue
        if is_rewritten and repr(remedy) not in done:
            break  # everything else is judged by what there is now
        try:
            if repr(remedy) not in done:  # several artifacts of a trial, several of its values
                remedy.apply(context)
                done.add(repr(remedy))
        except Exception as error:  # one that fails must not keep the others from being mended
            text = (
                str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            )
            state.failures[disagreement.name] = one_line(text, 300)
        else:
            state.repaired.append(disagreement)
            is_rewritten = isinstance(remedy, RewriteJournal | CompleteJournal | RestoreSubmissions)
    return bool(done)


def _gather(
    store: Store,
    inspection: Inspection | None,
    sweeps: Sequence[str],
    drivers: Mapping[str, str],
    files: FileIndex,
) -> Iterator[Evidence]:
    """Evidence of each sweep in turn; the database is asked once, after all journals."""
    journals = {s: read_journal_text(store.sweep_dir(s) / "journal.log") for s in sweeps}
    runs = inspection.runs() if inspection else []
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
        )


def _claim(tracking: Tracking, sweep: str, locks: ExitStack) -> None:
    """Keep drivers of other folders out until `locks` closes."""
    slot = tracking.writer.lease_slot(sweep)
    lease = sweep_lease(slot, tracking.store.sweep_dir(sweep), f"sweep {sweep}")
    with tracking.results.answering():
        lease.claim()
    locks.callback(lease.release)


def _driver(store: Store, results: Results | None, sweep: str) -> str:
    """Who runs the sweep now, in this folder or on the same tracking store; "" if nobody does."""
    here = living_driver(store.sweep_dir(sweep) / LOCK)
    return here or (living(results.lease(sweep)) if results else "")


def _files(store: Store) -> FileIndex:
    """What may be a copy of something that is lost: artifacts and reports of the store folder."""
    return FileIndex(store.root / "artifacts", store.root.glob("sweeps/*/*"))


def _checked(evidence: Evidence) -> SweepCheck:
    n_trials = sum(run.role == "trial" and not run.deleted for run in evidence.runs)
    return SweepCheck(evidence.sweep, evidence.driver, n_trials, find_disagreements(evidence))


def _chosen(store: Store, results: Results | None, sweeps: Sequence[str]) -> list[str]:
    folder = store.root / "sweeps"
    driven = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    stored = results.sweep_names() if results else ()
    in_bin = results.deleted_sweeps() if results else ()
    known = sorted({*driven, *stored})
    if not known and not sweeps:
        raise UserError("there is no sweep yet", where=str(store.root), hint="see 'sweeper run'")
    for name in sweeps:
        if name not in (*known, *in_bin):
            raise UserError(f"the store holds no sweep '{name}'", hint=nearest(name, known))
    return list(sweeps) or known
