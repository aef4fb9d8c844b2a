"""Runs a sweep: makes the database hold the results that its file declares.

The same command starts, resumes, extends and repeats a sweep: a trial whose key exists is reused,
a missing one is run, and one that a dead driver left unfinished is run first.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from sweeper.declare.canonical import sweep_text
from sweeper.declare.sweep import Sweep
from sweeper.errors import UserError
from sweeper.records import TrialRow
from sweeper.run.driver.attempts import Attempts, Ending
from sweeper.run.driver.budget import spent
from sweeper.run.driver.existing import Start, started
from sweeper.run.driver.feed import TrialFeed
from sweeper.run.driver.interrupts import Interrupts
from sweeper.run.driver.members import member_row
from sweeper.run.driver.progress import Progress
from sweeper.run.driver.shipping import raise_disk_full, say, ship_rest, unshipped_line
from sweeper.run.plan import MISSING_ONLY, Retry
from sweeper.run.runner import Runner, make_job
from sweeper.run.search.searches import make_search
from sweeper.run.search.stopping import stopping_rule
from sweeper.store.journal import (
    Abandoned,
    Event,
    Flusher,
    Started,
    ended_ms,
    key_of,
    replay,
)
from sweeper.store.location import Store

MakeReport = Callable[[Path, Sweep, list[TrialRow]], object]
_SHIP_TIMEOUT_S = 120.0
_SHIP_TIMEOUT_IN_HASTE_S = 5.0


class SweepRun(NamedTuple):
    """What one driver did.

    Attributes:
        rows: every trial that the sweep declares, new and reused.
        report: the page, or None if there was nothing to report.
        n_run: number of trials run now; the others were in the store.
        n_unshipped: journal events that the database does not hold yet (0 when all is well).
        ship_error: the last error of the store, if there was one.
        refused: whether the store refuses some events for good, so that a retry cannot help.
        invalid: errors of the points of the space that the config refused.
        ending: why the sweep ended before all declared trials had run, if it did.
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
    retry: Retry = MISSING_ONLY,
) -> SweepRun:
    """Run the missing trials of `sweep`, and ship everything to `store`.

    Raises:
        UserError: another driver runs this sweep, an input is missing, the store is unreadable, or
            `preflight` refuses it.
        DiskFull: journal, artifacts or database had no room; the same command resumes.
    """
    with started(sweep, store, runner, console, retry) as start:
        return _Driver(sweep, store, runner, console, start).run(make_report)


class _Driver:
    """Runs one sweep, once the lock is taken and it is known what exists."""

    def __init__(
        self,
        sweep: Sweep,
        store: Store,
        runner: Runner,
        console: Console,
        start: Start,
    ) -> None:
        self._sweep, self._store, self._runner, self._console = sweep, store, runner, console
        self._journal, self._submission, self._plan = start.journal, start.submission, start.plan
        specs, history = start.plan.specs, start.history
        self._all_exist = bool(specs) and all(spec.key in start.existing for spec in specs)
        self._left_running = set(history.left_running)
        self._job = make_job(sweep, store, start.staging.root)
        self._progress = Progress(
            console,
            sweep,
            n_total=start.plan.n_trials,
            n_existing=start.plan.n_existing,
            runner=runner,
        )
        self._flusher = Flusher(
            start.submission.connect,
            sweep=sweep.name,
            journal=start.journal,
            staging=start.staging,
            history=history,
        )
        self._feed = TrialFeed(
            sweep,
            search=make_search(sweep),
            stopping=stopping_rule(sweep),
            existing=start.existing,
            emit=self._emit,
            on_existing=self._progress.found,
            history=history,
        )
        self._interrupts = Interrupts()
        self._attempts = Attempts(
            self._feed,
            sweep.limits,
            gpu=sweep.resources.gpu,
            spent=spent(start.journal.earlier),
            interrupts=self._interrupts,
            emit=self._emit,
            checkpoint_root=self._job.checkpoint_root,
            say=self._progress.say,
        )

    def run(self, make_report: MakeReport) -> SweepRun:
        """Run the trials, ship them, write the report and end the submission."""
        try:
            self._run_trials()
            n_unshipped = self._ship()
            rows = self._rows()
            report = self._write_files(rows, make_report)
            trouble = self._end_submission(rows, report)
        except BaseException:
            self._give_up()
            raise
        return SweepRun(
            rows=rows,
            report=report,
            n_run=sum(member.existing is None for member in self._feed.members.values()),
            n_unshipped=n_unshipped,
            ship_error=self._flusher.why or trouble,
            refused=bool(self._flusher.refused),
            invalid=self._feed.invalid,
            ending=self._attempts.ending(max(0, self._plan.n_trials - len(rows))),
        )

    def _run_trials(self) -> None:
        """Run until the feed is empty, or the attempts are closed."""
        self._flusher.start()
        if self._all_exist:
            self._feed.drain()
        else:
            with self._progress, self._interrupts:
                self._runner.run(self._attempts, self._job)
        for note in self._feed.notes:
            say(self._console, note)

    def _ship(self) -> int:
        """Wait for the database; returns how many events it does not have.

        Raises:
            DiskFull: the database has no room for them.
        """
        self._leave_nothing_running()
        timeout_s = _SHIP_TIMEOUT_IN_HASTE_S if self._attempts.stopping else _SHIP_TIMEOUT_S
        n_unshipped = self._wait_for_database(timeout_s)
        self._journal.check()
        raise_disk_full(self._flusher)
        return n_unshipped

    def _wait_for_database(self, timeout_s: float) -> int:
        return ship_rest(self._flusher, self._console, self._store.shown, timeout_s=timeout_s)

    def _rows(self) -> list[TrialRow]:
        """Every trial of the sweep, with its run if the database has it."""
        run_ids = replay(self._journal.events()).run_ids
        return [
            member_row(self._sweep.name, member, run_ids.get(key, ""))
            for key, member in self._feed.members.items()
        ]

    def _write_files(self, rows: list[TrialRow], make_report: MakeReport) -> Path | None:
        """Write the sweep file, the search as an Optuna study, and the report; returns the report.

        After an urgent interrupt there is no report: somebody waits for this process to end.
        """
        folder = self._store.sweep_dir(self._sweep.name)
        self._sweep_file.write_text(sweep_text(self._sweep))
        shipped, evaluated = self._submission.opened, self._feed.evaluated
        study, report = folder / "optuna.journal", folder / "report.html"
        if evaluated and (shipped or not study.exists()):
            from sweeper.run.search.with_optuna.study import export_study  # loads optuna

            export_study(self._sweep, evaluated, study)
        if not rows or self._attempts.stopping:
            return None
        if shipped or not report.exists():
            make_report(report, self._sweep, rows)
        return report

    def _end_submission(self, rows: list[TrialRow], report: Path | None) -> str:
        """End the parent run; returns what went wrong, if anything.

        If the store does not answer, the next driver ends it: asking again would take minutes.
        """
        if self._flusher.trouble is not None:
            return self._flusher.why
        return self._submission.close(rows, [*filter(None, [report]), self._sweep_file])

    @property
    def _sweep_file(self) -> Path:
        return self._store.sweep_dir(self._sweep.name) / f"{self._sweep.name}.yaml"

    def _give_up(self) -> None:
        """Clean up after an error: end what is running, and ship what can be shipped quickly."""
        with suppress(UserError):  # the journal may be what failed
            self._leave_nothing_running()
        if self._is_taken_over():
            return
        if n_left := self._wait_for_database(_SHIP_TIMEOUT_IN_HASTE_S):
            flusher = self._flusher
            refused, where = bool(flusher.refused), self._store.shown
            say(self._console, unshipped_line(n_left, flusher.why, where, refused=refused))
        if self._flusher.trouble is None:
            self._submission.abandon()

    def _is_taken_over(self) -> bool:
        """Whether another driver has taken the sweep, so that this one must not write any more."""
        try:
            self._journal.check()
        except UserError:
            return True
        return False

    def _emit(self, event: Event) -> None:
        self._record(event)
        self._progress.on_event(event)

    def _record(self, event: Event) -> None:
        self._journal.append(event)
        self._flusher.put(event)
        if isinstance(event, Started):
            self._left_running.add(event.key)
        elif ended_ms(event) is not None:
            self._left_running.discard(key_of(event))

    def _leave_nothing_running(self) -> None:
        """End the runs of trials that were running when this driver, or an earlier one, ended."""
        for key in sorted(self._left_running):
            self._record(Abandoned(key=key, reason="its driver ended before it did"))
