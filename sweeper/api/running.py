"""Running a sweep from Python, and the loop over its predecessors that `sweeper run` shares."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console

from sweeper.api.reports import write_own_report
from sweeper.api.store import Store, open_store
from sweeper.api.sweeps import Sweep, load
from sweeper.declare import sweep as declared
from sweeper.declare.loading import Overrides
from sweeper.errors import UserError, nearest
from sweeper.records import TrialRow
from sweeper.report.final_table import final_table
from sweeper.report.words import plural
from sweeper.run.driver.drive import SweepRun, run_sweep
from sweeper.run.driver.shipping import unshipped_line
from sweeper.run.lineage import Say, check_chain, with_runs_of
from sweeper.run.plan import MISSING_ONLY, Retry
from sweeper.run.runners import make_runner
from sweeper.store import location
from sweeper.store.sql.frame import trials_frame
from trials import load_kind

if TYPE_CHECKING:
    import pandas as pd

RETRIES = ("failed", "deleted")
_SIGINT_CODE = 130


@dataclass(frozen=True)
class Result:
    """What `run` did.

    Attributes:
        name: the sweep.
        n_run: trials that were run now; the others were in the store.
        report: the HTML page; None if there is none.
        note: why not all declared trials have run, or why the store lacks some ("" if all is well).
        summary: the table that the command line prints.
    """

    name: str
    n_run: int
    report: Path | None
    note: str
    summary: str = field(repr=False)
    rows: list[TrialRow] = field(repr=False)
    _place: location.Store = field(repr=False)

    @property
    def trials(self) -> pd.DataFrame:
        """One row per trial that the sweep declares, new and reused; columns as `Store.trials`."""
        return trials_frame(self.rows)

    @property
    def n_failed(self) -> int:
        """Trials that failed; their `error` says why."""
        return sum(row.state == "FAILED" for row in self.rows)

    @property
    def store(self) -> Store:
        """The store with the results."""
        return open_store(self._place.tracking_uri if self._place.is_server else self._place.root)

    def __str__(self) -> str:
        n, n_reused = len(self.rows), len(self.rows) - self.n_run
        counts = f"{n_reused} reused, {self.n_failed} failed"
        head = f"{self.name}: {plural(n, 'trial')}: {self.n_run} run now, {counts}"
        return "\n".join(filter(None, (self.summary.rstrip(), head, self.note)))

    def _repr_html_(self) -> str:
        report = f"<p>report: {escape(str(self.report))}</p>" if self.report else ""
        return f"<pre>{escape(str(self))}</pre>{report}"


def run(
    sweep: str | Path | Sweep,
    *,
    set: Overrides | None = None,
    trials: int | None = None,
    store: str | Path | None = None,
    in_process: bool = False,
    retry: Sequence[Literal["failed", "deleted"]] = (),
    force: bool = False,
    progress: bool = True,
) -> Result:
    """Make the store hold every result that a sweep declares; what exists is reused.

    Ctrl-C (in a notebook: interrupt) works as for `sweeper run`: once, and running trials finish;
    twice, and they write a checkpoint and end. What is done is stored, then KeyboardInterrupt is
    raised; the same call resumes.

    Args:
        sweep: a path, the name of a ready-made sweep, or a `Sweep`.
        set: changes, such as `{"n_rows": 2000, "seeds": 3}`.
        trials: number of proposals.
        store: a folder or a URI (default: as `open_store`, created if there is none).
        in_process: one trial at a time in this process, without Ray.
        retry: run trials again that "failed", or whose runs were "deleted" in MLflow.
        force: run every trial again, whatever exists.
        progress: draw a bar, in a terminal or a notebook cell; elsewhere print a line per trial.

    Raises:
        UserError: the sweep is invalid, an input is missing, another driver runs it, the store
            does not answer, or a sweep that must run first has failed trials.
        KeyboardInterrupt: it was interrupted, as above.
    """
    found = load(sweep, set, trials)
    place = location.locate_store(None if store is None else str(store))
    console = Console(stderr=True, quiet=not progress)
    again = _read_retry(retry, force)
    for each, done in run_chain(found, place, console, in_process=in_process, retry=again):
        if done.ending.exit_code > 128:
            _interrupt(done)
        result = _result(each, done, place)
        if each.name != found.name and (result.n_failed or result.note):
            why = result.note or f"{plural(result.n_failed, 'trial')} failed"
            raise UserError(why, where=f"{each.name}, which must run before {found.name}")
    return result


def run_chain(
    found: declared.Sweep,
    place: location.Store,
    console: Console,
    *,
    in_process: bool,
    retry: Retry = MISSING_ONLY,
) -> Iterator[tuple[declared.Sweep, SweepRun]]:
    """Run the sweeps that come before a sweep, then the sweep; what each left is yielded at once.

    A caller that stops iterating stops the chain. Raises UserError as `run_sweep`.
    """

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    check_chain(found, place)
    for each in (*found.predecessors, found):
        if each is not found:
            say(f"first: {each.name}")
        yield _run_one(each, place, console, say, in_process=in_process, retry=retry)


def _run_one(
    each: declared.Sweep,
    place: location.Store,
    console: Console,
    say: Say,
    *,
    in_process: bool,
    retry: Retry,
) -> tuple[declared.Sweep, SweepRun]:
    resolved = with_runs_of(each, place, say)
    if in_process and resolved.limits.needs_worker:
        say("in-process runs do not enforce trial_timeout_s and memory_gib")
    done = run_sweep(
        resolved,
        place,
        make_runner(resolved.resources, in_process=in_process),
        console=console,
        make_report=write_own_report,
        retry=retry,
    )
    return resolved, done


def _read_retry(retry: Sequence[str], force: bool) -> Retry:
    words = [retry] if isinstance(retry, str) else list(retry)
    for word in words:
        if word not in RETRIES:
            raise UserError(f"unknown word '{word}'", where="retry", hint=nearest(word, RETRIES))
    return Retry(failed="failed" in words, deleted="deleted" in words, everything=force)


def _result(sweep: declared.Sweep, done: SweepRun, place: location.Store) -> Result:
    note = done.ending.why
    if done.n_unshipped:
        line = unshipped_line(done.n_unshipped, done.ship_error, place.shown, refused=done.refused)
        note = "; ".join(filter(None, (note, line)))
    kind = load_kind(sweep.kind)
    summary = final_table(done.rows, kind, sweep.search, seeds=sweep.seeds) if done.rows else ""
    return Result(sweep.name, done.n_run, done.report, note, summary, done.rows, place)


def _interrupt(done: SweepRun) -> None:
    """Pass on the signal that ended a run, now that everything is stored."""
    if done.ending.exit_code == _SIGINT_CODE:
        raise KeyboardInterrupt(done.ending.why)
    sys.exit(done.ending.exit_code)  # SIGTERM or SIGHUP: the process was told to end
