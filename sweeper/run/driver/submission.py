"""The parent run of one `sweeper run`: opened with the first thing that is shipped."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sweeper.declare.canonical import sweep_text
from sweeper.declare.sweep import Sweep
from sweeper.errors import one_line
from sweeper.records import TrialRow, TrialState
from sweeper.run.driver.claim import Claim
from sweeper.store.location import Store
from sweeper.store.opening import open_tracking
from sweeper.store.relocation import relocate
from sweeper.store.run_format.saved_view import saved_view
from trials import load_kind

if TYPE_CHECKING:
    from sweeper.store.tracking import Tracking


class Submission:
    """One driver's place in the database. A sweep that has nothing to ship never opens it."""

    def __init__(self, sweep: Sweep, store: Store, claim: Claim) -> None:
        self._sweep, self._store, self._claim = sweep, store, claim
        self._opened: tuple[Tracking, str] | None = None
        # There while a parent run may be open: a driver that has nothing to ship would not ask.
        self._mark = store.sweep_dir(sweep.name) / "submission.open"

    @property
    def is_left_open(self) -> bool:
        """Whether a driver may have left a parent run without its end."""
        return self._mark.exists()

    @property
    def opened(self) -> bool:
        """Whether anything was shipped."""
        return self._opened is not None

    def connect(self) -> tuple[Tracking, str]:
        """The store and the parent run's id; ends what dead drivers left open."""
        relocate(self._store)
        tracking = open_tracking(self._store)
        self._claim.take(tracking)
        self._mark.touch()
        tracking.abandon_submissions(self._sweep.name)
        stamp = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        tags = {
            "kind": self._sweep.kind,
            "sweep_file": sweep_text(self._sweep),
            "mlflow.note.content": self._sweep.description,
        }
        tracking.describe(self._sweep.name, self._sweep.description)
        run_id = tracking.open_submission(self._sweep.name, f"submission {stamp}", tags)
        self._opened = tracking, run_id
        return self._opened

    def close(self, rows: Sequence[TrialRow], files: Sequence[Path]) -> str:
        """End the parent run with its summary and files; returns what went wrong, if anything.

        A driver that shipped nothing ends the one that a dead driver left open.
        """
        try:
            if self._opened is not None:
                self._summarise(*self._opened, rows, files)
            if self._mark.exists():
                self._end_open()
        except Exception as error:  # the store went away at the very end: the trials are in it
            return one_line(f"{type(error).__name__}: {error}", 300)
        return ""

    def abandon(self) -> None:
        """End the parent run of a driver that fails; what the store says to that is no matter."""
        if self._opened is not None:
            with suppress(Exception):
                self._end_open()

    def _summarise(
        self, tracking: Tracking, run_id: str, rows: Sequence[TrialRow], files: Sequence[Path]
    ) -> None:
        states = [row.state for row in rows]
        counts = {
            "n_trials": len(rows),
            "n_complete": states.count(TrialState.COMPLETE),
            "n_failed": states.count(TrialState.FAILED),
        }
        metrics = {name: float(n) for name, n in counts.items() if n}  # the UI charts each
        if rows:
            view = saved_view(load_kind(self._sweep.kind), rows)
            tracking.describe(self._sweep.name, self._sweep.description, view)
        tracking.close_submission(
            run_id, metrics=metrics, files=files, failed=TrialState.FAILED in states
        )

    def _end_open(self) -> None:
        """End every parent run: of dead drivers, or made where its answer was lost."""
        tracking = self._opened[0] if self._opened else open_tracking(self._store)
        self._claim.take(tracking)
        tracking.abandon_submissions(self._sweep.name)
        self._mark.unlink(missing_ok=True)
