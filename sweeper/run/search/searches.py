"""Searches behind one door: `ask` for an assignment, `tell` what it gave.

An assignment fixes the searched fields; seeds are replicates of it, not a searched dimension. A
search is deterministic: the same sweep told the same values asks the same questions. None asks
the same question twice, so that a finite space can hold fewer proposals than `trials`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from sweeper.declare.search import mean_metrics
from sweeper.declare.sweep import Sweep
from sweeper.records import Outcome, Scalar, TrialState
from sweeper.run.search.points import Points
from sweeper.run.search.proposal import Evaluation, Proposal, Proposer


def make_search(sweep: Sweep) -> Proposer:
    """The search that the sweep file names."""
    if sweep.search.method == "optuna":
        from sweeper.run.search.with_optuna.search import OptunaSearch

        return OptunaSearch(sweep)
    if sweep.search.method == "target":
        from sweeper.run.search.target import TargetSearch  # loads scipy

        return TargetSearch(sweep)
    assignments = sweep.assignments() if sweep.search.method == "grid" else _random(sweep)
    return ListedSearch(itertools.islice(assignments, sweep.trials))


def n_proposals(sweep: Sweep) -> int:
    """Proposals that the sweep declares: `trials`, but at most the points that there are."""
    if sweep.search.method == "target":
        return sweep.grid_size * (sweep.trials or 1)
    is_grid = sweep.search.method == "grid"
    n_points = sweep.grid_size if is_grid else Points(sweep.space).size
    return int(min(sweep.trials or math.inf, n_points))


class ListedSearch:
    """Asks a fixed sequence of assignments and learns nothing: grid and random."""

    adapts = tunes_nulls = waits = False
    notes: Sequence[str] = ()

    def __init__(self, assignments: Iterable[Mapping[str, Scalar]]) -> None:
        self._proposals = (Proposal(*pair) for pair in enumerate(assignments))

    def ask(self) -> Proposal | None:
        """The next of the sequence."""
        return next(self._proposals, None)

    def adopt(self, assignment: Mapping[str, Scalar], null: str | None = None) -> None:
        """None: the sequence says what is evaluated."""

    def tell(self, proposal: Proposal, evaluation: Evaluation) -> None:
        """Nothing to learn."""


def _random(sweep: Sweep) -> Iterator[dict[str, Scalar]]:
    rng, points = np.random.default_rng(sweep.search.seed), Points(sweep.space)
    while (point := points.visit_another(rng)) is not None:
        yield point


def evaluate(
    sweep: Sweep, outcomes: Sequence[Outcome], curves: Sequence[Mapping[int, float]] = ()
) -> Evaluation:
    """Mean over seeds of each objective, and of each constrained metric against its bounds.

    PRUNED if any replicate was stopped. FAILED if one failed, is uncertified, or gave NaN: such a
    point must not steer the search. `curves` are the replicates' reports of the objective by step.
    """
    curve = _mean_curve(curves)
    if any(o.state is TrialState.PRUNED for o in outcomes):
        return Evaluation(TrialState.PRUNED, curve=curve)
    failed = Evaluation(TrialState.FAILED, curve=curve)
    objectives = [objective.metric for objective in sweep.search.objectives]
    means = mean_metrics(outcomes, sweep.search.metrics)
    if means is None or not all(map(math.isfinite, means.values())):
        return failed
    return Evaluation(
        TrialState.COMPLETE,
        [means[name] for name in objectives],
        sweep.search.violations(means),
        {name: means[name] for name in sweep.search.constraints},
        curve,
    )


def _mean_curve(curves: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """The mean at each step that every curve has."""
    if not curves:
        return {}
    steps = sorted(set(curves[0]).intersection(*curves[1:]))
    return {step: float(np.mean([curve[step] for curve in curves])) for step in steps}
