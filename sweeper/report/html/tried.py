"""The settings that a search tried, as it saw them: means over seeds, nulls left out."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from sweeper.declare.search import Search, mean_metrics
from sweeper.records import Scalar, TrialRow
from sweeper.store.versions import INPUTS


class Tried(NamedTuple):
    """A setting that the search tried: its searched fields, the means of what it is ranked by."""

    params: Mapping[str, Scalar]
    metrics: Mapping[str, float]
    violation: float

    @property
    def is_feasible(self) -> bool:
        """Whether it is within all constraints."""
        return self.violation <= 0


def tried(rows: Sequence[TrialRow], fields: Sequence[str], search: Search) -> list[Tried]:
    """The settings in the order in which they started, without those that did not compete."""
    settings: dict[tuple[Scalar, ...], list[TrialRow]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row.started_ms, row.key)):
        settings[tuple(row.params.get(name) for name in (*fields, INPUTS))].append(row)
    found = []
    for values, of_setting in settings.items():
        means = mean_metrics(of_setting, search.metrics)
        if means is not None and all(map(math.isfinite, means.values())):
            violation = sum(max(0.0, v) for v in search.violations(means).values())
            found.append(Tried(dict(zip(fields, values, strict=False)), means, violation))
    return found


def loss_under(search: Search) -> Callable[[Tried], float]:
    """The first objective as a loss; infinite beyond a constraint."""
    return lambda one: search.losses(one.metrics)[0] if one.is_feasible else math.inf
