"""Artifacts of a trial: a local copy, or the rows of a table."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path

from sweeper.errors import UserError
from sweeper.records import TrialRow

Fetch = Callable[[str, str], Path]
"""`fetch(run_id, path)`: a local copy of an artifact, checked against its digest."""


def local_copy(row: TrialRow, path: str, fetch: Fetch) -> Path | None:
    """A local copy of an artifact; None where the trial has none, or it was lost."""
    try:
        return fetch(row.reused_from or row.run_id, path)
    except (UserError, OSError, LookupError):
        return None


def read_table(row: TrialRow, name: str, fetch: Fetch) -> list[dict[str, str]]:
    """Rows of the table `name`.csv; empty where there is none."""
    path = local_copy(row, f"{name}.csv", fetch)
    if path is None:
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_numbers(row: TrialRow, name: str, fetch: Fetch) -> list[dict[str, float]]:
    """`read_table` as numbers; NaN for other text."""
    return [
        {column: as_number(text) for column, text in line.items()}
        for line in read_table(row, name, fetch)
    ]


def as_number(text: str | None) -> float:
    """The number that a text holds; NaN if it holds none."""
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
