"""Running a sweep: make the database hold the results that its file declares.

The same command starts, resumes, extends and repeats: what exists under a key is reused, what is
missing is run, and what a dead driver left in flight is run first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from sweeper.declare.canonical import sweep_text
from sweeper.declare.sweep import Sweep
from sweeper.errors import UserError, disk_full_named
from sweeper.records import TrialRow, TrialState
from sweeper.run.driver.attempts import Attempts, Ending
from sweeper.run.driver.budget import spent
from sweeper.run.driver.claim import Claim, patiently
from sweeper.run.driver.existing import existing_trials, open_history
from sweeper.run.driver.feed import TrialFeed
from sweeper.run.driver.interrupts import Interrupts
from sweeper.run.driver.members import Existing, member_row
from sweeper.run.driver.progress import Progress
from sweeper.run.driver.shipping import raise_disk_full, say, ship_rest, unshipped_line
from sweeper.run.driver.submission import Submission
from sweeper.run.plan import Plan, done_states, make_plan
from sweeper.run.preflight import preflight
from sweeper.run.runner import Job, Runner
from sweeper.run.search.searches import make_search
from sweeper.run.search.stopping import stopping_rule
from sweeper.store.artifacts import StagingArea
from sweeper.store.flusher import Flusher
from sweeper.store.journal import Abandoned, Event, Journal, Started
from sweeper.store.location import Store
from sweeper.store.peek import Glimpse, peek
from sweeper.store.replay import History, ended_ms, key_of, replay
from sweeper.store.sqlite_file import network_notice

MakeReport = Callable[[Path, Sweep, list[TrialRow]], object]
_SHIP_TIMEOUT_S = 120.0
_SHIP_TIMEOUT_IN_HASTE_S = 5.0


class SweepRun(NamedTuple):
    """What one `run` did.

    Attributes:
        rows: every trial that the sweep declares, new and reused.
        report: the page, or None where nothing was to be reported.
        n_run: trials run now; the others were in the store.
        n_unshipped: journal events that the database does not hold yet (0 when all is well).
        ship_error: what the store last answered, if something went wrong.
        refused: whether the store will not take some of them however often it is asked.
        invalid: points of the space that the config refused.
        ending: why it ended before all declared trials had run, if it did.
    """

    rows: list[TrialRow]
    report: Path | None
    n_run: int
    n_unshipped: int
    ship_error: str
    refused: bool
    invalid: list[str]
    ending: Ending = Ending()


def run_sweep(
    sweep: Sweep,
    store: Store,
    runner: Runner,
    *,
    console: Console,
    make_report: MakeReport,
    retry_failed: bool = False,
    retry_deleted: bool = False,
    force: bool = False,
) -> SweepRun:
    """Run what is missing of `sweep`, and ship everything to `store`.

    Raises:
        UserError: another driver runs this sweep, an input is missing, the store is unreadable, or
            `preflight` refuses it.
        DiskFull: journal, artifacts or database had no room; the same command resumes.
    """
    done = done_states(sweep, retry_failed=retry_failed, force=force)
    stored = peek(store)
    plan = make_plan(sweep, stored, done=done)
    again = retry_deleted or force
    preflight(sweep, store, plan, stored, runs_here=runner.runs_here, retry_deleted=again)
    folder = store.sweep_dir(sweep.name)
    staging = StagingArea(folder / "staged")
    with (
        closing(Journal(folder)) as journal,
        disk_full_named(folder),
        closing(Claim(store, sweep.name, journal)) as claim,
    ):
        submission = Submission(sweep, store, claim)
        if submission.is_left_open or not _is_settled(plan, sweep.name, stored, done, journal):
            if not store.is_folder:
                patiently(claim.take)
            if (now := patiently(lambda: peek(store))) != stored:  # another driver has just ended
                stored, plan = now, make_plan(sweep, now, done=done)
        where = network_notice(store.database) if store.is_local_file else ""
        for notice in filter(None, (plan.note, where, *journal.notices, claim.notice)):
            say(console, notice)
        history = open_history(journal, staging, sweep.name, store, stored)
        existing = existing_trials(sweep.name, store, history, stored, done)
        driver = _Driver(
            sweep, store, console, plan, journal, staging, history, existing, submission
        )
        try:
            driver.run_trials(runner)
            n_unshipped = driver.ship()
            rows = driver.rows()
            report, trouble = driver.conclude(rows, make_report)
        except BaseException:
            driver.give_up()
            raise
    feed, flusher = driver.feed, driver.flusher
    return SweepRun(
        rows=rows,
        report=report,
        n_run=sum(member.existing is None for member in feed.members.values()),
        n_unshipped=n_unshipped,
        ship_error=flusher.why or trouble,
        refused=bool(flusher.refused),
        invalid=feed.invalid,
        ending=driver.attempts.ending(max(0, plan.n_trials - len(rows))),
    )


def _is_settled(
    plan: Plan,
    sweep: str,
    stored: Sequence[Glimpse],
    done: frozenset[TrialState],
    journal: Journal,
) -> bool:
    """Whether nothing is left to write: the sweep's own trials are all in the store."""
    here = {g.key for g in stored if g.sweep == sweep and g.state in done}
    history = replay(journal.earlier)
    in_flight = history.unshipped or history.left_running
    return bool(plan.specs) and not in_flight and all(spec.key in here for spec in plan.specs)


class _Driver:
    """One driver's work on a sweep, once it has the lock and knows what exists."""

    def __init__(
        self,
        sweep: Sweep,
        store: Store,
        console: Console,
        plan: Plan,
        journal: Journal,
        staging: StagingArea,
        history: History,
        existing: dict[str, Existing],
        submission: Submission,
    ) -> None:
        self._sweep, self._store, self._console, self._journal = sweep, store, console, journal
        self._left_running = set(history.left_running)
        self._all_exist = bool(plan.specs) and all(spec.key in existing for spec in plan.specs)
        self._submission = submission
        self.flusher = Flusher(
            self._submission.connect,
            sweep=sweep.name,
            journal=journal,
            staging=staging,
            history=history,
        )
        self._progress = Progress(console, sweep, n_total=plan.n_trials, n_existing=plan.n_existing)
        self.feed = TrialFeed(
            sweep,
            search=make_search(sweep),
            stopping=stopping_rule(sweep),
            existing=existing,
            emit=self._emit,
            on_existing=self._progress.found,
            history=history,
        )
        self._interrupts, self._job = Interrupts(), _job(sweep, store, staging)
        self.attempts = Attempts(
            self.feed,
            sweep.limits,
            gpu=sweep.resources.gpu,
            spent=spent(journal.earlier),
            interrupts=self._interrupts,
            emit=self._emit,
            checkpoint_root=self._job.checkpoint_root,
        )
        self.attempts.say = self._progress.say
        self._interrupts.listener = lambda: self._progress.say(self.attempts.standing())

    def run_trials(self, runner: Runner) -> None:
        """Run the feed dry, or until it is enough."""
        self._progress.n_slots = lambda: runner.n_slots
        self.flusher.start()
        if self._all_exist:
            self.feed.drain()
        else:
            with self._progress, self._interrupts:
                runner.run(self.attempts, self._job)

    def ship(self) -> int:
        """Wait for the database; returns how many events it does not have.

        Raises:
            DiskFull: that is why it does not have them.
        """
        self._leave_nothing_running()
        timeout_s = _SHIP_TIMEOUT_IN_HASTE_S if self.attempts.stopping else _SHIP_TIMEOUT_S
        where = self._store.shown
        n_unshipped = ship_rest(self.flusher, self._console, where, timeout_s=timeout_s)
        self._journal.check()
        raise_disk_full(self.flusher)
        return n_unshipped

    def give_up(self) -> None:
        """Leave things in order on the way out of an error: what is shipped need not be again."""
        with suppress(UserError):  # the journal may be what failed
            self._leave_nothing_running()
        if self._is_taken_over():
            return
        where = self._store.shown
        if n_left := ship_rest(
            self.flusher, self._console, where, timeout_s=_SHIP_TIMEOUT_IN_HASTE_S
        ):
            refused = bool(self.flusher.refused)
            say(self._console, unshipped_line(n_left, self.flusher.why, where, refused=refused))
        if self.flusher.trouble is None:
            self._submission.abandon()

    def _is_taken_over(self) -> bool:
        """Whether another driver has the sweep, and this one must not write to the store."""
        try:
            self._journal.check()
        except UserError:
            return True
        return False

    def rows(self) -> list[TrialRow]:
        """Every trial of the sweep, with its run where the database has it."""
        run_ids = replay(self._journal.events()).run_ids
        return [
            member_row(self._sweep.name, member, run_ids.get(key, ""))
            for key, member in self.feed.members.items()
        ]

    def conclude(self, rows: list[TrialRow], make_report: MakeReport) -> tuple[Path | None, str]:
        """Write the report and end the parent run; returns the page, and what went wrong.

        In haste there is no report: somebody waits for this process to end.
        """
        folder = self._store.sweep_dir(self._sweep.name)
        sweep_file, report = folder / f"{self._sweep.name}.yaml", folder / "report.html"
        sweep_file.write_text(sweep_text(self._sweep))
        files = [sweep_file]
        self._export_study(folder / "optuna.journal")
        if rows and not self.attempts.stopping:
            if self._submission.opened or not report.exists():
                make_report(report, self._sweep, rows)
            files.insert(0, report)
        if self.flusher.trouble is None:
            trouble = self._submission.close(rows, files)
        else:  # the next driver ends it: a store that does not answer takes minutes to say so
            trouble = self.flusher.why
        return (report if report in files else None), trouble

    def _export_study(self, path: Path) -> None:
        """Leave what the search was told for optuna-dashboard, if there is news."""
        if self.feed.evaluated and (self._submission.opened or not path.exists()):
            from sweeper.run.search.optuna_search import export_study

            export_study(self._sweep, self.feed.evaluated, path)

    def _emit(self, event: Event) -> None:
        self._record(event)
        self._progress.on_event(event)

    def _record(self, event: Event) -> None:
        self._journal.append(event)
        self.flusher.put(event)
        if isinstance(event, Started):
            self._left_running.add(event.key)
        elif ended_ms(event) is not None:
            self._left_running.discard(key_of(event))

    def _leave_nothing_running(self) -> None:
        """End the runs of trials that this driver leaves, or found left and undeclared."""
        for key in sorted(self._left_running):
            self._record(Abandoned(key=key, reason="its driver ended before it did"))


def _job(sweep: Sweep, store: Store, staging: StagingArea) -> Job:
    return Job(
        sweep=sweep.name,
        working_dir=Path.cwd(),
        cpu=sweep.resources.cpu,
        gpu=sweep.resources.gpu,
        memory_gib=sweep.limits.memory_gib,
        staging_root=staging.root,
        checkpoint_root=store.sweep_dir(sweep.name) / "checkpoints",
        store_root=store.root,
        tracking_uri=store.tracking_uri,
        artifact_root=store.artifact_root,
    )
