"""A summary of trials: counts by state, the fields that vary, the best settings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sweeper.declare.search import Best, Search, mean_metrics
from sweeper.records import SEED, Scalar, TrialRow, TrialState
from sweeper.report.words import natural, plural
from sweeper.store.versions import INPUTS
from trials.api import TrialKind


@dataclass(frozen=True)
class Counts:
    """Trials by state; `uncertified` and `controls` are counted among the complete ones."""

    total: int
    complete: int
    failed: int
    pruned: int
    unfinished: int
    uncertified: int
    controls: int


def count(rows: Sequence[TrialRow]) -> Counts:
    """Count trials by state."""
    complete = [row for row in rows if row.state is TrialState.COMPLETE]
    n = {state: sum(row.state is state for row in rows) for state in TrialState}
    return Counts(
        total=len(rows),
        complete=len(complete),
        failed=n[TrialState.FAILED],
        pruned=n[TrialState.PRUNED],
        unfinished=n[TrialState.WAITING] + n[TrialState.RUNNING],
        uncertified=sum(bool(row.uncertified) for row in complete),
        controls=sum(row.is_control for row in complete),
    )


def is_trusted(row: TrialRow) -> bool:
    """Complete and certified: its numbers may be compared."""
    return row.state is TrialState.COMPLETE and not row.uncertified


class Setting(NamedTuple):
    """The trials of one setting, one for each seed that counts."""

    rows: tuple[TrialRow, ...]

    @property
    def name(self) -> str:
        """The label and run id of a single trial; of several, the label of the setting."""
        first = self.rows[0]
        version = f", {tag}" if (tag := first.params.get(INPUTS)) else ""
        if len(self.rows) == 1:
            return f"{first.label}, {first.run_id}{version}"
        return f"{first.setting_label}{version}"

    def values(self, metric: str) -> list[float]:
        """A metric of each seed."""
        return [row.metrics[metric] for row in self.rows]


class Ranking(NamedTuple):
    """The best settings.

    Attributes:
        best: those of the settings that have all their seeds.
        n_seeds: how many seeds that is.
        n_partial: settings that lack a seed, or have one that is not complete and certified.
    """

    best: Best[Setting]
    n_seeds: int
    n_partial: int

    @property
    def partial(self) -> str:
        """A sentence on the settings that do not compete; "" where there are no replicates."""
        if not self.n_partial or self.n_seeds < 2:
            return ""
        settings = plural(self.n_partial, "setting")
        verb = "does" if self.n_partial == 1 else "do"
        return (
            f"{settings} without all {self.n_seeds} seeds complete and certified {verb} not compete"
        )


def best_settings(
    rows: Sequence[TrialRow], search: Search, seeds: Sequence[int] | None = None
) -> Ranking:
    """The best settings by the mean over `seeds`, without nulls; the earliest of equals.

    As in the search itself, a setting competes when all its seeds are complete and certified.
    Without `seeds`, the settings with the most seeds compete.
    """
    by_setting: dict[str, dict[Scalar, TrialRow]] = defaultdict(dict)
    for row in sorted(rows, key=lambda row: (row.started_ms, row.key)):
        if not row.is_control and (seeds is None or row.params.get(SEED, 0) in seeds):
            by_setting[row.setting][row.params.get(SEED)] = row
    n_seeds = len(seeds) if seeds else max(map(len, by_setting.values()), default=0)
    best: Best[Setting] = Best(search)
    n_partial = 0
    for replicates in by_setting.values():
        in_order = sorted(replicates.values(), key=lambda row: natural(row.params.get(SEED)))
        means = mean_metrics(in_order, search.metrics) if len(in_order) == n_seeds else None
        if means is None:
            n_partial += 1
        else:
            best.offer(Setting(tuple(in_order)), means)
    return Ranking(best, n_seeds, n_partial)


def headline_metrics(kind: TrialKind, search: Search) -> tuple[str, ...]:
    """The metrics that rank trials, then those that real and null are compared on, each once."""
    chosen_by = [*(objective.metric for objective in search.objectives), *search.constraints]
    return tuple(dict.fromkeys([*chosen_by, *(kind.control.metrics if kind.control else ())]))


def varying_fields(rows: Sequence[TrialRow], kind: TrialKind | None) -> tuple[str, ...]:
    """Config fields with more than one value among the trials, in the order of the config."""
    declared = list(kind.config.model_fields) if kind else []
    others = sorted({name for row in rows for name in row.params} - set(declared))
    return tuple(name for name in (*declared, *others) if _varies(name, rows))


def label_fields(rows: Sequence[TrialRow], kind: TrialKind | None) -> tuple[str, ...]:
    """The fields in which these trials differ; those that their sweep varies come first."""
    varying = varying_fields(rows, kind)
    first = [name for name in rows[-1].varied if name in varying]
    return tuple(dict.fromkeys([*first, *varying]))


def _varies(name: str, rows: Sequence[TrialRow]) -> bool:
    """Whether a field has two values; True is not 1, and 1 is not 1.0."""
    first = rows[0].params.get(name) if rows else None
    values = (row.params.get(name) for row in rows)
    return any(value != first or type(value) is not type(first) for value in values)
