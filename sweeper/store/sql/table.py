"""Columns of trials, and which trials they are once each key counts once."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np

from sweeper.records import Scalar, TrialState


class TrialTable(NamedTuple):
    """Columns of runs, all of one length.

    Attributes:
        fixed: values by the name of the attribute of `TrialRow`; always `run_id`, `sweep`, `key`,
            `state`, `reused_from` and `started_ms`.
        params, inputs: values by name, None if missing.
        metrics: float64 values by name, NaN if missing.
        places: which runs are trials.
        occurs: whether a trial has the metric, by name.
    """

    fixed: dict[str, list[Any]]
    params: dict[str, list[Scalar]]
    inputs: dict[str, list[str | None]]
    metrics: dict[str, np.ndarray]
    places: list[int]
    occurs: dict[str, np.ndarray]

    def sorted(self) -> TrialTable:
        """All trials, by sweep, start and key."""
        return self._taken(self.places)

    def one_per_key(self) -> TrialTable:
        """One trial per key, chosen and sorted as by `versions.one_per_key`."""
        keys = self.fixed["key"]
        if len({keys[at] for at in self.places}) == len(self.places):
            return self.sorted()
        best: dict[str, int] = {}
        for at in self.places:
            if (key := keys[at]) not in best or self._rank(at) > self._rank(best[key]):
                best[key] = at
        return self._taken(best.values())

    def _rank(self, at: int) -> tuple[bool, bool, int, str]:
        state, reused_from, started_ms, run_id = (
            self.fixed[name][at] for name in ("state", "reused_from", "started_ms", "run_id")
        )
        return state is TrialState.COMPLETE, not reused_from, started_ms, run_id

    def _taken(self, places: Collection[int]) -> TrialTable:
        names = ("sweep", "started_ms", "key", "run_id")
        rank = list(zip(*(self.fixed[name] for name in names), strict=True))
        order = sorted(places, key=rank.__getitem__)
        columns: list[dict[str, list[Any]]] = [self.fixed, self.params, self.inputs]
        fixed, params, inputs = (
            {name: [column[at] for at in order] for name, column in each.items()}
            for each in columns
        )
        at = np.array(order, dtype=np.intp)
        metrics = {name: column[at] for name, column in self.metrics.items()}
        occurs = {name: column[at] for name, column in self.occurs.items()}
        return TrialTable(fixed, params, inputs, metrics, list(range(len(order))), occurs)
