"""Takes a sweep as its driver would, to change what it has stored."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from sweeper.errors import UserError
from sweeper.store.journal import Journal
from sweeper.store.lease import living, living_driver, sweep_lease
from sweeper.store.location import Store

if TYPE_CHECKING:
    from sweeper.store.tracking import Results, Tracking

LOCK = "driver.lock"


def running_driver(store: Store, results: Results | None, sweep: str) -> str:
    """Who runs the sweep now, in this folder or elsewhere on the same tracking store; else ""."""
    here = living_driver(store.sweep_dir(sweep) / LOCK)
    return here or (living(results.lease(sweep)) if results else "")


def refuse_running(store: Store, results: Results | None, sweep: str, consequence: str) -> None:
    """Raise UserError if a driver runs the sweep."""
    if driver := running_driver(store, results, sweep):
        raise UserError(
            f"a driver is running this sweep ({driver}): {consequence}",
            where=str(store.sweep_dir(sweep)),
            hint="wait for it, or name other sweeps",
        )


def hold(tracking: Tracking, sweep: str, locks: ExitStack, *, is_stored: bool) -> Journal | None:
    """Exclude drivers until `locks` closes: of this folder by its journal, of others by the lease.

    Returns the journal, None if this folder has none. `is_stored`: the database has the sweep.

    Raises:
        UserError: a driver has just taken it.
    """
    store, journal = tracking.store, None
    if (store.sweep_dir(sweep) / "journal.log").exists():
        journal = locks.enter_context(closing(Journal(store.sweep_dir(sweep))))
    if is_stored:
        _claim(tracking, sweep, locks)
    return journal


def _claim(tracking: Tracking, sweep: str, locks: ExitStack) -> None:
    """Exclude drivers of other folders until `locks` closes."""
    slot = tracking.writer.lease_slot(sweep)
    lease = sweep_lease(slot, tracking.store.sweep_dir(sweep), f"sweep {sweep}")
    with tracking.results.answering():
        lease.claim()
    locks.callback(lease.release)
