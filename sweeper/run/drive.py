"""Running a sweep: make the database hold the results that its file declares.

The same command starts, resumes, extends and repeats: what exists under a key is reused, what is
missing is run.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console

from sweeper.declare.sweep import Sweep
from sweeper.errors import one_line
from sweeper.records import Outcome, TrialRow, TrialState
from sweeper.run.feed import Existing, TrialFeed, member_row
from sweeper.run.plan import DONE, Plan, make_plan
from sweeper.run.progress import Progress
from sweeper.run.runner import Job, Runner
from sweeper.run.search import make_search
from sweeper.run.stopping import stopping_rule
from sweeper.store.artifacts import StagingArea
from sweeper.store.flusher import Flusher
from sweeper.store.journal import Event, Finished, Journal, Reused, Shipped
from sweeper.store.location import Store
from sweeper.store.peek import Glimpse, peek
from sweeper.store.saved_view import saved_view
from trials import load_kind

if TYPE_CHECKING:
    from sweeper.store.tracking import Tracking

MakeReport = Callable[[Path, Sweep, list[TrialRow]], object]
_SHIP_TIMEOUT_S = 120.0


class SweepRun(NamedTuple):
    """What one `run` did.

    Attributes:
        rows: every trial that the sweep declares, new and reused.
        report: the page, or None where nothing was to be reported.
        n_run: trials run now; the others were in the store.
        n_unshipped: journal events that the database does not hold yet (0 when all is well).
        ship_error: what the store last answered, if something went wrong.
        invalid: points of the space that the config refused.
    """

    rows: list[TrialRow]
    report: Path | None
    n_run: int
    n_unshipped: int
    ship_error: str
    invalid: list[str]


def run_sweep(
    sweep: Sweep,
    store: Store,
    runner: Runner,
    *,
    console: Console,
    make_report: MakeReport,
    retry_failed: bool = False,
    force: bool = False,
) -> SweepRun:
    """Run what is missing of `sweep`, and ship everything to `store`.

    Raises:
        UserError: another driver runs this sweep, an input is missing, the store is unreadable.
    """
    done: frozenset[TrialState] = DONE
    if force or retry_failed:
        done = frozenset() if force else DONE - {TrialState.FAILED}
    stored = peek(store)
    plan = make_plan(sweep, stored, done=done)
    with closing(Journal(store.sweep_dir(sweep.name))) as journal:
        existing = _existing(sweep, store, journal, stored, done)
        submission = _Submission(sweep, store)
        feed, n_unshipped, ship_error = _drive(
            sweep, store, runner, journal, plan, existing, submission.connect, console
        )
        rows = _rows(sweep, feed, journal)
        report, trouble = _conclude(sweep, store, submission, rows, make_report)
    return SweepRun(
        rows=rows,
        report=report,
        n_run=sum(member.existing is None for member in feed.members.values()),
        n_unshipped=n_unshipped,
        ship_error=ship_error or trouble,
        invalid=feed.invalid,
    )


def _drive(
    sweep: Sweep,
    store: Store,
    runner: Runner,
    journal: Journal,
    plan: Plan,
    existing: dict[str, Existing],
    connect: Callable[[], tuple[Tracking, str]],
    console: Console,
) -> tuple[TrialFeed, int, str]:
    """Run the feed dry; returns it with what the flusher could not ship, and why."""
    staging = StagingArea(store.sweep_dir(sweep.name) / "staged")
    flusher = Flusher(connect, sweep=sweep.name, journal=journal, staging=staging)
    progress = Progress(console, sweep, n_total=plan.n_trials, n_existing=plan.n_existing)
    progress.n_slots = lambda: runner.n_slots

    def emit(event: Event) -> None:
        journal.append(event)
        flusher.put(event)
        progress.on_event(event)

    feed = TrialFeed(
        sweep,
        search=make_search(sweep),
        stopping=stopping_rule(sweep),
        existing=existing,
        emit=emit,
        on_existing=progress.found,
    )
    flusher.start(list(journal.events()))
    try:
        if plan.specs and not plan.n_new:
            feed.drain()
        else:
            with progress:
                runner.run(feed, _job(sweep, store, staging))
    finally:
        n_unshipped = flusher.close(_SHIP_TIMEOUT_S)
    return feed, n_unshipped, flusher.last_error


def _conclude(
    sweep: Sweep,
    store: Store,
    submission: _Submission,
    rows: list[TrialRow],
    make_report: MakeReport,
) -> tuple[Path | None, str]:
    """Write the report and end the parent run; returns the page, and what went wrong."""
    folder = store.sweep_dir(sweep.name)
    sweep_file = folder / f"{sweep.name}.yaml"
    sweep_file.write_text(sweep.to_yaml())
    if not rows:
        return None, submission.close(rows, [sweep_file])
    report = folder / "report.html"
    if submission.opened or not report.exists():
        make_report(report, sweep, rows)
    return report, submission.close(rows, [report, sweep_file])


class _Submission:
    """The parent run of this driver, opened by the flusher with the first thing it ships."""

    def __init__(self, sweep: Sweep, store: Store) -> None:
        self._sweep, self._store = sweep, store
        self._opened: tuple[Tracking, str] | None = None

    @property
    def opened(self) -> bool:
        return self._opened is not None

    def connect(self) -> tuple[Tracking, str]:
        from sweeper.store.tracking import Tracking

        tracking = Tracking(self._store)
        tracking.abandon_submissions(self._sweep.name)
        stamp = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        tags = {
            "kind": self._sweep.kind,
            "sweep_file": self._sweep.to_yaml(),
            "mlflow.note.content": self._sweep.description,
        }
        run_id = tracking.open_submission(self._sweep.name, f"submission {stamp}", tags)
        self._opened = tracking, run_id
        return self._opened

    def close(self, rows: list[TrialRow], files: list[Path]) -> str:
        """End the parent run with its summary and files; returns what went wrong, if anything."""
        if self._opened is None:
            return ""
        tracking, run_id = self._opened
        states = [row.state for row in rows]
        counts = {
            "n_trials": float(len(rows)),
            "n_complete": float(states.count(TrialState.COMPLETE)),
            "n_failed": float(states.count(TrialState.FAILED)),
        }
        try:
            if rows:
                varied = {name: rows[0].params[name] for name in rows[0].varied}
                view = saved_view(load_kind(self._sweep.kind), varied)
                tracking.save_view(self._sweep.name, view)
            tracking.close_submission(
                run_id, metrics=counts, files=files, failed=TrialState.FAILED in states
            )
        except Exception as error:  # the store went away at the very end: the trials are in it
            return one_line(f"{type(error).__name__}: {error}", 300)
        return ""


def _existing(
    sweep: Sweep, store: Store, journal: Journal, stored: list[Glimpse], done: frozenset[TrialState]
) -> dict[str, Existing]:
    """Finished trials by key: from this sweep's journal, and from the database for the rest."""
    in_database = {glimpse.key for glimpse in stored if glimpse.state in done}
    found: dict[str, Existing] = {}
    unshipped: set[str] = set()
    for event in journal.events():
        match event:
            case Finished(outcome=outcome):
                found[outcome.key] = Existing(outcome, sweep.name)
                unshipped.add(outcome.key)
            case Reused(spec=spec, outcome=outcome, run_id=run_id):
                found[spec.key] = Existing(outcome, sweep.name, run_id)
                unshipped.add(spec.key)
            case Shipped(key=key, run_id=run_id) if key in found:
                found[key] = Existing(found[key].outcome, sweep.name, run_id)
                unshipped.discard(key)
    found = {
        key: known
        for key, known in found.items()
        if known.outcome.state in done and (key in in_database or key in unshipped)
    }
    missing = in_database - found.keys()
    if missing:
        from sweeper.store.tracking import Tracking

        rows = Tracking(store).rows(keys=sorted(missing))
        # A sweep's own row is preferred to that of another sweep.
        for row in sorted(rows, key=lambda row: row.sweep == sweep.name):
            run_id = row.reused_from or row.run_id
            found[row.key] = Existing(_outcome(row), row.sweep, run_id)
    return found


def _outcome(row: TrialRow) -> Outcome:
    return Outcome(
        key=row.key,
        state=row.state,
        metrics=row.metrics,
        artifacts=row.artifacts,
        facts=row.facts,
        provenance={k: v for k, v in row.provenance.items() if not k.startswith("input.")},
        uncertified=row.uncertified,
        error=row.error,
        started_ms=row.started_ms,
        ended_ms=row.ended_ms,
    )


def _rows(sweep: Sweep, feed: TrialFeed, journal: Journal) -> list[TrialRow]:
    run_ids = {e.key: e.run_id for e in journal.events() if isinstance(e, Shipped)}
    return [
        member_row(sweep.name, member, run_ids.get(key, "")) for key, member in feed.members.items()
    ]


def _job(sweep: Sweep, store: Store, staging: StagingArea) -> Job:
    return Job(
        sweep=sweep.name,
        working_dir=Path.cwd(),
        cpu=sweep.resources.cpu,
        gpu=sweep.resources.gpu,
        staging_root=staging.root,
        checkpoint_root=store.sweep_dir(sweep.name) / "checkpoints",
        store_root=store.root,
        tracking_uri=store.tracking_uri,
        artifact_root=store.artifact_root,
    )
