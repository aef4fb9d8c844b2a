"""The page of a sweep that has just run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from sweeper.declare.canonical import sweep_text
from sweeper.declare.sweep import Sweep
from sweeper.records import Scalar, TrialRow
from sweeper.report.html.page import ReportedSweep, write_report
from trials import load_kind


def write_own_report(path: Path, sweep: Sweep, rows: list[TrialRow]) -> None:
    """Write the page of a sweep that has just run."""
    page = ReportedSweep(
        sweep.name,
        load_kind(sweep.kind),
        rows,
        sweep.description,
        sweep_text(sweep),
        sweep.search,
        sweep.seeds,
        rate_fields=rate_fields,
    )
    write_report(path, [page])


def rate_fields(
    assignments: Sequence[Mapping[str, Scalar]], values: Sequence[float]
) -> Mapping[str, float]:
    """How important each searched field is."""
    from sweeper.run.search.with_optuna.importance import field_importances  # loads optuna

    return field_importances(assignments, values)
