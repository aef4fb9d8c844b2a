"""A sweep: what a sweep file declares, validated and resolved before anything starts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sweeper.declare.document import Document, KeyPath, Where, shown
from sweeper.declare.read_space import Case
from sweeper.declare.runs import run_entries
from sweeper.declare.space import Dimension
from sweeper.declare.sweep_file import SweepFile
from sweeper.declare.validation import build
from sweeper.records import Scalar
from trials import load_kind
from trials.api import Config, TrialKind


class Sweep(SweepFile):
    """A validated sweep.

    Attributes:
        name: the stem of the file.
        document: the file as the options change it; knows where each value was given.
        fixed: values of config fields that every trial shares.
        cases: points of several fields, which are in `space` too, with the values they take.
        space: the varied config fields, those of the cases first, in the order of the file.
        predecessor: the sweep that `after` names, with the changes of `set`.
        nulls: values of the kind's control field that every proposal runs with too.
        trials: number of proposals; None for all of a grid.
        seeds: replicates of every proposal.
    """

    name: str
    document: Document
    cases: tuple[Case, ...] = ()
    space: dict[str, Dimension] = {}
    predecessor: Sweep | None = None

    @property
    def origin(self) -> str:
        """The path of the file, for messages."""
        return self.document.origin

    @property
    def open_runs(self) -> dict[KeyPath, dict[str, Any]]:
        """Entries `{runs: ...}` that are not resolved yet; each has a stand-in here."""
        return run_entries(self.document)

    @property
    def predecessors(self) -> tuple[Sweep, ...]:
        """The sweeps that must hold their results before this one, in the order to run them."""
        if self.predecessor is None:
            return ()
        return (*self.predecessor.predecessors, self.predecessor)

    @property
    def varied(self) -> tuple[str, ...]:
        """Names of the varied fields; the control field of `nulls`, then `seed`, last."""
        control = load_kind(self.kind).control if self.nulls else None
        field = (control.field,) if control else ()
        return (*self.space, *field, *(("seed",) if len(self.seeds) > 1 else ()))

    @property
    def n_arms(self) -> int:
        """Trials per proposal and seed: the real one and its nulls."""
        return 1 + len(self.nulls)

    @property
    def grid_size(self) -> int:
        """Number of points of the whole grid; ValueError where a range has no grid."""
        n_points = math.prod(
            dimension.grid_size
            for name, dimension in self.crossed.items()
            if name != self.solved_field
        )
        return n_points * len(self.cases or ({},))

    @property
    def solved_field(self) -> str:
        """The field that a search for a target solves for; "" for other searches."""
        if self.search.method != "target":
            return ""
        return next(name for name, d in self.space.items() if not d.has_grid)

    @property
    def crossed(self) -> dict[str, Dimension]:
        """The dimensions of the space that no case gives a value."""
        return {n: d for n, d in self.space.items() if not self.cases or n not in self.cases[0]}

    def assignments(self) -> Iterator[dict[str, Scalar]]:
        """The points of the grid in file order, last field fastest, at most `trials` of them."""
        return itertools.islice(self.grid(), self.trials)

    def config(
        self, assignment: Mapping[str, Scalar], seed: int, null: str | None = None
    ) -> Config:
        """The config of one trial, the real one unless one of `nulls` is named.

        `UserError` names the field that the kind refuses.
        """
        if assignment.keys() != self.space.keys():
            raise ValueError(f"assigned {sorted(assignment)}, the space has {sorted(self.space)}")
        return self.checked_config(load_kind(self.kind), assignment, seed, null, self.where)

    def where(self, path: KeyPath) -> str:
        """Where the value under a key path of the file was given."""
        return self.document.where(path)

    def checked_config(
        self,
        kind: TrialKind,
        assignment: Mapping[str, Scalar],
        seed: int,
        null: str | None,
        where: Where,
    ) -> Config:
        """`config` of the kind itself; `where` says where a value was given."""
        arm: dict[str, Scalar] = {}
        if kind.control and self.nulls:
            arm[kind.control.field] = kind.control.real if null is None else null

        def where_given(path: KeyPath) -> str:
            null_at: KeyPath = () if null is None else ("nulls", self.nulls.index(null))
            if not path:  # a rule about several fields: the values under test say which
                point = " ".join(f"{name}={shown(value)}" for name, value in assignment.items())
                varied = "cases" if self.cases else "space"
                at = where(null_at or (varied if point else "fixed",))
                return f"{at} at {point}" if point else at
            if path[0] in arm and null_at:
                return where(null_at)
            if self.cases and path[0] in self.cases[0]:
                return where(("cases",))
            return where(("space" if path[0] in assignment else "fixed", *path))

        return build(kind.config, {**self.fixed, **assignment, **arm, "seed": seed}, where_given)

    def grid(self, *, without: str = "") -> Iterator[dict[str, Scalar]]:
        """Points of the whole grid: every case, and within it the last field fastest.

        The field `without` is left out.
        """
        crossed = {name: d for name, d in self.crossed.items() if name != without}
        for case in self.cases or ({},):
            for values in _product([dimension.grid() for dimension in crossed.values()]):
                yield case | dict(zip(crossed, values, strict=True))


def _product(grids: Sequence[Sequence[Scalar]]) -> Iterator[tuple[Scalar, ...]]:
    """Like `itertools.product`, but lazy: that one lists every value of a range first."""
    if not grids:
        yield ()
        return
    for value in grids[0]:
        for rest in _product(grids[1:]):
            yield (value, *rest)
