"""Frees space: removes files of artifacts whose trials could compute them again.

The trials keep their record, metrics and small artifacts, and say what was pruned.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from fnmatch import fnmatchcase
from typing import NamedTuple

from sweeper.records import Artifact, TrialRow, now_ms
from sweeper.store.removal.hold import hold, refuse_running
from sweeper.store.tracking import Removals, Tracking


class Criteria(NamedTuple):
    """Which artifacts to prune: those that meet all criteria.

    Attributes:
        names: patterns of paths, one of which must fit.
        larger_than: bytes.
        older_than_s: seconds since the end of the trial.
    """

    names: tuple[str, ...]
    larger_than: int = 0
    older_than_s: float = 0.0

    def fits(self, artifact: Artifact) -> bool:
        """Whether name and size fit."""
        is_named = any(fnmatchcase(artifact.path, name) for name in self.names)
        return is_named and artifact.n_bytes > self.larger_than


class Pruning(NamedTuple):
    """Artifacts of one trial that go."""

    row: TrialRow
    artifacts: tuple[Artifact, ...]

    @property
    def n_bytes(self) -> int:
        """How much space that frees."""
        return sum(artifact.n_bytes for artifact in self.artifacts)


def choose(
    rows: Iterable[TrialRow], criteria: Criteria, kept: Collection[str] = ()
) -> Iterator[Pruning]:
    """What the criteria choose of finished trials; nothing of the runs `kept`."""
    before_ms = now_ms() - criteria.older_than_s * 1000
    for row in rows:
        if row.ended_ms and row.ended_ms <= before_ms and row.run_id not in kept:
            chosen = tuple(artifact for artifact in row.held if criteria.fits(artifact))
            if chosen:
                yield Pruning(row, chosen)


def prune(tracking: Tracking, sweep: str, prunings: Sequence[Pruning]) -> None:
    """Note in the database what is pruned, then remove the files, one trial after the other.

    Raises:
        UserError: a driver runs the sweep, or the store does not answer.
    """
    removals = Removals(tracking.results)
    with ExitStack() as locks:
        refuse_running(tracking.store, tracking.results, sweep, "nothing is pruned")
        hold(tracking, sweep, locks, is_stored=True)
        for pruning in prunings:
            removals.prune(pruning.row.run_id, pruning.artifacts)
