"""Searches behind one door: `ask` for an assignment, `tell` what it gave.

An assignment fixes the searched fields; seeds are replicates of it, not a searched dimension. A
search is deterministic: the same sweep told the same values asks the same questions.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from sweeper.declare.sweep import Sweep
from sweeper.records import Outcome, Scalar, TrialState
from sweeper.run.proposal import Evaluation, Proposal, Search


def make_search(sweep: Sweep) -> Search:
    """The search that the sweep file names."""
    if sweep.search.method == "optuna":
        from sweeper.run.optuna_search import OptunaSearch

        return OptunaSearch(sweep)
    assignments = sweep.assignments() if sweep.search.method == "grid" else _random(sweep)
    return ListedSearch(itertools.islice(assignments, sweep.trials))


class ListedSearch:
    """Asks a fixed sequence of assignments and learns nothing: grid and random."""

    def __init__(self, assignments: Iterator[Mapping[str, Scalar]]) -> None:
        self._proposals = (Proposal(*pair) for pair in enumerate(assignments))

    def ask(self) -> Proposal | None:
        """The next of the sequence."""
        return next(self._proposals, None)

    def tell(self, proposal: Proposal, evaluation: Evaluation | None) -> None:
        """Nothing to learn."""


def _random(sweep: Sweep) -> Iterator[dict[str, Scalar]]:
    rng = np.random.default_rng(sweep.search.seed)
    while True:
        yield {name: dimension.sample(rng) for name, dimension in sweep.space.items()}


def evaluate(sweep: Sweep, outcomes: Sequence[Outcome]) -> Evaluation | None:
    """Mean over seeds of each objective, and of each constrained metric against its bounds.

    None if any replicate failed, was stopped, is uncertified, or gave NaN: such a point must not
    steer the search.
    """
    if any(o.state is not TrialState.COMPLETE or not o.certified for o in outcomes):
        return None
    objectives = [objective.metric for objective in sweep.search.objectives]
    means = {
        name: float(np.mean([o.metrics[name] for o in outcomes]))
        for name in (*objectives, *sweep.search.constraints)
    }
    if not all(math.isfinite(mean) for mean in means.values()):
        return None
    return Evaluation([means[name] for name in objectives], sweep.search.violations(means))
