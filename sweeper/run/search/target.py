"""The search `target`: at each point of a grid, the value of one field that gives a wanted metric.

The relation is solved for the real rows and for each null apart, so that they are compared at the
same value of the metric.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from sweeper.declare.space import FloatRange
from sweeper.declare.sweep import Sweep
from sweeper.records import Scalar, TrialState
from sweeper.run.search.proposal import Evaluation, Proposal
from sweeper.run.search.root import Root, Value


class _Solver(NamedTuple):
    """One root: its point of the grid, its arm, and the proposals that are under way."""

    point: Mapping[str, Scalar]
    null: str | None
    root: Root
    asked: list[float]
    running: set[int]


class TargetSearch:
    """Solves for the target at every point and arm, each from its own results.

    The first proposal of a solver comes from the solver most like it that knows the answer, if
    there is one. What is proposed hangs on what was told by then, so that a search that was rebuilt
    from the journal goes on as one that was never interrupted.
    """

    adapts = tunes_nulls = True

    def __init__(self, sweep: Sweep) -> None:
        self._field, self._n_most = sweep.solved_field, sweep.trials or 1
        ((self._metric, bounds),) = sweep.search.constraints.items()
        solved = sweep.space[self._field]
        if not isinstance(solved, FloatRange) or bounds.target is None:
            raise TypeError(f"no target to solve for over {self._field}")
        tolerance = bounds.target_tolerance
        self._solvers = [
            _Solver(point, null, Root(solved.low, solved.high, bounds.target, tolerance), [], set())
            for point in sweep.grid(without=self._field)
            for null in (None, *sweep.nulls)
        ]
        self._of: dict[int, _Solver] = {}

    @property
    def waits(self) -> bool:
        """Whether a later `ask` may propose more: something is under way."""
        return any(solver.running for solver in self._solvers)

    @property
    def notes(self) -> Iterator[str]:
        """What was found for each point and arm."""
        for solver in self._solvers:
            root, best = solver.root, solver.root.best
            point = {**solver.point, **({"null": solver.null} if solver.null else {})}
            at = " ".join(f"{name}={value}" for name, value in point.items())
            if best is None or best.y is None:
                found = "nothing measured" if solver.asked else ""
            else:
                near = "" if root.is_found else ", not reached: nearest"
                found = f"{near} {self._field} {best.x:.6g} gives {best.y:.4g}".strip()
            if found:
                found = found.removeprefix(", ")
                yield f"{self._metric} = {root.target:g}{f' at {at}' if at else ''}: {found}"

    def ask(self) -> Proposal | None:
        """The next value for the first solver that waits for none; begun ones come first."""
        for solver in sorted(self._solvers, key=lambda solver: not solver.asked):
            if (x := self._next(solver)) is not None:
                return self._asked(solver, x)
        return None

    def adopt(self, assignment: Mapping[str, Scalar], null: str | None = None) -> Proposal | None:
        """Take a proposal of an earlier driver as asked; None if it belongs to no solver."""
        rest = {name: value for name, value in assignment.items() if name != self._field}
        for solver in self._solvers:
            if (solver.point, solver.null) == (rest, null):
                x = float(assignment[self._field] or 0.0)
                known = x in solver.asked or not solver.root.low <= x <= solver.root.high
                return None if known else self._asked(solver, x)
        return None

    def tell(self, proposal: Proposal, evaluation: Evaluation) -> None:
        """Note the metric; a proposal that failed is not tried again."""
        solver = self._of[proposal.number]
        solver.running.discard(proposal.number)
        is_complete = evaluation.state is TrialState.COMPLETE
        y = evaluation.measured[self._metric] if is_complete else None
        solver.root.values.append(Value(float(proposal.assignment[self._field] or 0.0), y))

    def _next(self, solver: _Solver) -> float | None:
        if len(solver.asked) >= self._n_most or solver.root.is_found:
            return None
        like = self._most_like(solver)
        if not solver.asked:
            guess = like.root.solution() if like else None
            return solver.root.start()[0] if guess is None else guess
        pair = solver.root.start()
        if len(solver.asked) == 1 and solver.asked[0] == pair[0] and self._n_most > 1:
            return pair[1]  # the first two of a solver that knew nothing run at once
        if solver.running:
            return None
        return solver.root.next(like.root.slope if like else None)

    def _most_like(self, solver: _Solver) -> _Solver | None:
        """The solver that brackets the target and differs in the fewest fields."""
        others = [o for o in self._solvers if o is not solver and o.root.solution() is not None]
        return min(others, key=lambda other: _n_differences(solver, other), default=None)

    def _asked(self, solver: _Solver, x: float) -> Proposal:
        assignment = {**solver.point, self._field: x}
        proposal = Proposal(len(self._of), assignment, solver.null)
        self._of[proposal.number] = solver
        solver.asked.append(x)
        solver.running.add(proposal.number)
        return proposal


def _n_differences(one: _Solver, other: _Solver) -> int:
    fields = sum(one.point[name] != other.point[name] for name in one.point)
    return fields + (one.null != other.null)
