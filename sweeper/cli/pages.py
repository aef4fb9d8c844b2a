"""The HTML pages: what goes into each, from a sweep that has just run or from the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sweeper.cli.stored import kinds_of
from sweeper.declare.canonical import sweep_text
from sweeper.errors import UserError

if TYPE_CHECKING:
    from sweeper.declare.sweep import Sweep
    from sweeper.records import TrialRow
    from sweeper.report.html.page import ReportedSweep
    from sweeper.store.tracking import Tracking
    from sweeper.store.versions import Inputs


def write_own_report(path: Path, sweep: Sweep, rows: list[TrialRow]) -> None:
    """Write the page of a sweep that has just run."""
    from sweeper.report.html.page import ReportedSweep, write_report
    from trials import load_kind

    page = ReportedSweep(
        sweep.name,
        load_kind(sweep.kind),
        rows,
        sweep.description,
        sweep_text(sweep),
        sweep.search,
        sweep.seeds,
    )
    write_report(path, [page])


def reported(name: str, tracking: Tracking, inputs: Inputs = "latest") -> ReportedSweep:
    """What a page says of a sweep of the store."""
    from sweeper.declare.loading import stored_search, stored_seeds
    from sweeper.report.html.page import ReportedSweep

    rows = tracking.results.rows([name])
    kinds = kinds_of(rows)
    if rows[0].kind not in kinds:
        raise UserError(f"sweep '{name}' is of kind '{rows[0].kind}', which is not installed")
    kind = kinds[rows[0].kind]
    text, description = tracking.results.last_submission(name)
    search, seeds = stored_search(text, kind), stored_seeds(text)
    return ReportedSweep(name, kind, rows, description, text, search, seeds, inputs)
