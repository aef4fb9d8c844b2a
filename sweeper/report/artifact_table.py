"""What a trial left behind, where it is still there: a local copy, the rows of a table."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path

from sweeper.errors import UserError
from sweeper.records import TrialRow

Fetch = Callable[[str, str], Path]
"""`fetch(run_id, path)`: a local copy of an artifact, held against its digest."""


def local_copy(row: TrialRow, path: str, fetch: Fetch) -> Path | None:
    """None where the trial has no such artifact, or it was lost."""
    try:
        return fetch(row.reused_from or row.run_id, path)
    except (UserError, OSError, LookupError):
        return None


def read_table(row: TrialRow, name: str, fetch: Fetch) -> list[dict[str, str]]:
    """Rows of the table `name`.csv; none where it is not there."""
    path = local_copy(row, f"{name}.csv", fetch)
    if path is None:
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_numbers(row: TrialRow, name: str, fetch: Fetch) -> list[dict[str, float]]:
    """`read_table` as numbers, NaN for what is none."""
    return [
        {column: as_number(text) for column, text in line.items()}
        for line in read_table(row, name, fetch)
    ]


def as_number(text: str | None) -> float:
    """NaN for what is none."""
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
