"""fsck: gather, judge, mend, judge again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

from sweeper.errors import UserError, nearest, one_line
from sweeper.store.artifacts import StagingArea
from sweeper.store.driver_lock import living_driver
from sweeper.store.fsck.disagreement import Disagreement
from sweeper.store.fsck.evidence import Evidence, gather, read_journal_text
from sweeper.store.fsck.file_checks import of_artifacts, of_folders
from sweeper.store.fsck.inspection import Inspection
from sweeper.store.fsck.journal_checks import of_journal, of_outcomes, torn
from sweeper.store.fsck.repair import RestoreSweep, RewriteJournal, Workshop
from sweeper.store.fsck.run_checks import of_bin, of_runs
from sweeper.store.journal import Journal
from sweeper.store.lease import living, sweep_lease
from sweeper.store.location import Store
from sweeper.store.relocation import relocate

LOCK = "driver.lock"
_MOST_ROUNDS = 4  # what is restored may turn out damaged, what is shipped again a duplicate


@dataclass(frozen=True)
class Verdict:
    """What fsck says of one sweep.

    Attributes:
        driver: who runs the sweep now; what is under way is then not judged.
        n_trials: trials that the database holds of it.
        found: what is wrong, after repairs if there were any.
        mended: what was wrong and is not any more.
        failures: why a repair failed, by the name of what it was to mend.
    """

    sweep: str
    driver: str
    n_trials: int
    found: Sequence[Disagreement]
    mended: Sequence[Disagreement] = ()
    failures: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Mending:
    """A sweep under repair, with its lock held."""

    journal: Journal | None
    mended: list[Disagreement] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def disagreements(evidence: Evidence) -> list[Disagreement]:
    """Everything that is wrong with a sweep, in the order in which it is mended.

    What is under way beside a living driver is no disagreement, and neither is a trial that waits
    for the next `run`.
    """
    if evidence.in_bin:  # what is in it can be judged once it is back
        return [*of_bin(evidence)]
    found = [
        *of_journal(evidence),
        *of_outcomes(evidence),
        *of_runs(evidence),
        *of_artifacts(evidence),
    ]
    if not evidence.driver:
        found += of_folders(evidence, [d.repair for d in found])
    return found


def check(store: Store, sweeps: Sequence[str] = ()) -> Iterator[Verdict]:
    """Judge the named sweeps (all when none is named), one after the other; changes nothing.

    Raises:
        UserError: no such sweep, or the store does not answer.
    """
    inspection = Inspection(store) if store.exists() else None
    chosen = _chosen(store, inspection, sweeps)
    drivers = {sweep: _driver(store, inspection, sweep) for sweep in chosen}
    for evidence in _gather(store, inspection, chosen, drivers):
        yield _verdict(evidence)


def repair(store: Store, sweeps: Sequence[str] = ()) -> Iterator[Verdict]:
    """Mend what can be mended, and judge again until nothing more can be.

    Raises:
        UserError: as `check`, and if a driver runs one of the sweeps: then nothing is changed.
    """
    existing = Inspection(store) if store.exists() else None
    chosen = _chosen(store, existing, sweeps)
    relocate(store)
    inspection = existing or Inspection(store)
    stored = existing.sweep_names() if existing else []
    with ExitStack() as locks:
        mending = {name: _Mending(None) for name in chosen}
        for sweep in chosen:
            folder = store.sweep_dir(sweep)
            if driver := _driver(store, existing, sweep):
                raise UserError(
                    f"a driver is running this sweep ({driver}): nothing is repaired",
                    where=str(folder),
                    hint="wait for it, or name other sweeps",
                )
            if (log := folder / "journal.log").exists():
                n_bytes = log.stat().st_size
                mending[sweep].journal = locks.enter_context(closing(Journal(folder)))
                if dropped := n_bytes - log.stat().st_size:  # opening is what mends it
                    mending[sweep].mended.append(torn(sweep, dropped))
            if sweep in stored:
                _claim(inspection, sweep, store, locks)
        for sweep in chosen:
            yield _mend(store, inspection, sweep, mending[sweep])


def _mend(store: Store, inspection: Inspection, sweep: str, mending: _Mending) -> Verdict:
    for _ in range(_MOST_ROUNDS):
        [evidence] = _gather(store, inspection, [sweep], {})
        found = disagreements(evidence)
        shop = Workshop(
            evidence,
            inspection,
            mending.journal,
            StagingArea(store.sweep_dir(sweep) / "staged"),
        )
        if not _apply(found, shop, mending):
            break
    else:
        [evidence] = _gather(store, inspection, [sweep], {})
    verdict = _verdict(evidence)
    left = {d.name for d in verdict.found}
    return Verdict(
        sweep=sweep,
        driver="",
        n_trials=verdict.n_trials,
        found=verdict.found,
        mended=[d for d in mending.mended if d.name not in left],
        failures=mending.failures,
    )


def _apply(found: Sequence[Disagreement], shop: Workshop, mending: _Mending) -> bool:
    """Apply each repair once; whether any was applied that had not been before."""
    done: set[str] = set()
    tried = {d.name for d in mending.mended}
    for disagreement in found:
        remedy = disagreement.repair
        if remedy is None or disagreement.name in tried:
            continue
        try:
            if repr(remedy) not in done:  # several artifacts of a trial, several of its values
                remedy.apply(shop)
                done.add(repr(remedy))
        except Exception as error:  # one that fails must not keep the others from being mended
            text = (
                str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            )
            mending.failures[disagreement.name] = one_line(text, 300)
        else:
            mending.mended.append(disagreement)
        if isinstance(remedy, RewriteJournal | RestoreSweep):
            return True  # everything else is judged by the journal and the runs as they are now
    return bool(done)


def _gather(
    store: Store,
    inspection: Inspection | None,
    sweeps: Sequence[str],
    drivers: Mapping[str, str],
) -> Iterator[Evidence]:
    """Evidence of each sweep in turn; the database is asked once, after all journals."""
    journals = {s: read_journal_text(store.sweep_dir(s) / "journal.log") for s in sweeps}
    runs = inspection.runs() if inspection else []
    in_bin = inspection.deleted_sweeps() if inspection else {}
    for sweep in sweeps:
        yield gather(
            sweep,
            store,
            inspection,
            runs,
            journal=journals[sweep],
            driver=drivers.get(sweep, ""),
            in_bin=in_bin.get(sweep, ""),
        )


def _claim(inspection: Inspection, sweep: str, store: Store, locks: ExitStack) -> None:
    """Keep drivers of other folders out until `locks` closes."""
    slot = inspection.lease_slot(sweep)
    lease = sweep_lease(slot, store.sweep_dir(sweep), f"sweep {sweep}")
    with inspection.answering():
        lease.claim()
    locks.callback(lease.release)


def _driver(store: Store, inspection: Inspection | None, sweep: str) -> str:
    """Who runs the sweep now, in this folder or on the same tracking store; "" if nobody does."""
    here = living_driver(store.sweep_dir(sweep) / LOCK)
    if here or inspection is None:
        return here
    with inspection.answering():
        return living(inspection.lease_slot(sweep, make=False).read())


def _verdict(evidence: Evidence) -> Verdict:
    n_trials = sum(run.role == "trial" and not run.deleted for run in evidence.runs)
    return Verdict(evidence.sweep, evidence.driver, n_trials, disagreements(evidence))


def _chosen(store: Store, inspection: Inspection | None, sweeps: Sequence[str]) -> list[str]:
    folder = store.root / "sweeps"
    driven = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    stored = inspection.sweep_names() if inspection else ()
    in_bin = inspection.deleted_sweeps() if inspection else ()
    known = sorted({*driven, *stored})
    if not known and not sweeps:
        raise UserError("there is no sweep yet", where=str(store.root), hint="see 'sweeper run'")
    for name in sweeps:
        if name not in (*known, *in_bin):
            raise UserError(f"the store holds no sweep '{name}'", hint=nearest(name, known))
    return list(sweeps) or known
