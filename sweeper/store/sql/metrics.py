"""Values of named metrics, one array per metric."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from sweeper.store.run_format.record import CLIPPED


class Select(Protocol):
    """Reads some keys of a table."""

    def __call__(
        self, columns: str, table: str, keys: Sequence[str], *, whole: bool
    ) -> Iterator[tuple[Any, ...]]:
        """Rows of these keys; `whole` passes over the whole table instead of searching."""


_FEW = 2  # a pass over all metrics costs about as much as searching for so many
_PART = 50_000  # rows


class HeldMetrics(NamedTuple):
    """Which metrics are of a trial's outcome: a run with several attempts holds values of each.

    Attributes:
        texts: names of metrics as the record writes them, JSON; "" while there is no outcome.
        group: for each trial, the place of its text.
    """

    texts: list[str]
    group: np.ndarray

    def has(self, name: str) -> np.ndarray:
        """For each trial, whether the metric is one of its outcome's."""
        quoted = json.dumps(name, ensure_ascii=False)
        return np.array([not text or quoted in text for text in self.texts])[self.group]


def read_metrics(
    select: Select, wanted: Collection[str], place: Mapping[str, int], held: HeldMetrics
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Metric -> float64 values by the `place` of the run, NaN if missing; and whether each occurs.

    A metric that no trial has is left out.
    """
    names = sorted(wanted)
    row_of = {name: at for at, name in enumerate(names)}
    found = np.full((len(names), len(held.group)), np.nan)
    occurs = np.zeros(found.shape, dtype=bool)
    columns = "key, run_uuid, value, is_nan"
    rows = select(columns, "latest_metrics", names, whole=len(names) > _FEW) if names else iter(())
    while part := list(itertools.islice(rows, _PART)):
        keys, run_ids, values, is_nan = zip(*part, strict=True)
        row = np.array([row_of.get(key, -1) for key in keys])
        column = np.array([place.get(run_id, -1) for run_id in run_ids])
        numbers = np.array(values, dtype=np.float64)
        numbers[np.array(is_nan, dtype=bool)] = np.nan
        is_ours = (row >= 0) & (column >= 0)
        found[row[is_ours], column[is_ours]] = numbers[is_ours]
        occurs[row[is_ours], column[is_ours]] = True
    for name, at in row_of.items():
        occurs[at] &= held.has(name)
        is_clipped = np.abs(found[at]) >= CLIPPED
        found[at][is_clipped] = np.copysign(np.inf, found[at][is_clipped])
        found[at][~occurs[at]] = np.nan
    kept = {name: at for name, at in row_of.items() if occurs[at].any()}
    return {n: found[at] for n, at in kept.items()}, {n: occurs[at] for n, at in kept.items()}
