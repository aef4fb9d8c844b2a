"""Which trials read what another one left, so that nothing is removed under them unsaid."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from sweeper.records import TrialRow
from sweeper.store.sql import SqlReader

if TYPE_CHECKING:
    from sweeper.store.opening import Reader

_RUN = re.compile(r"\brun:([\w-]+)")


class Reading(NamedTuple):
    """A trial that depends on a run.

    Attributes:
        row: the trial.
        run_id: the run.
        is_reused: whether the trial was taken from the run, instead of reading its artifacts.
    """

    row: TrialRow
    run_id: str
    is_reused: bool


def find_readings(reader: Reader, run_ids: Collection[str]) -> list[Reading]:
    """Trials of any sweep that read artifacts of these runs (`run:`), or were taken from them."""
    rows = reader.rows_with_sources() if isinstance(reader, SqlReader) else reader.rows()
    wanted = set(run_ids)
    return [reading for reading in _readings(rows) if reading.run_id in wanted]


def _readings(rows: Iterable[TrialRow]) -> Iterator[Reading]:
    for row in rows:
        if row.reused_from:
            yield Reading(row, row.reused_from, is_reused=True)
            continue
        texts = (*row.params.values(), *row.inputs.values())
        named = {run for text in texts if isinstance(text, str) for run in _RUN.findall(text)}
        for run_id in sorted(named - {row.run_id}):
            yield Reading(row, run_id, is_reused=False)
