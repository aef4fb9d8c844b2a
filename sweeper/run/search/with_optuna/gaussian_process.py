"""Proposals of Optuna's Gaussian process (its docstring names the acquisition functions).

Each proposal fits a process of its own to what is known by then, so that it hangs on the results
and the seed alone.
"""

from __future__ import annotations

import warnings

import numpy as np
import optuna

from sweeper.declare.sweep import Sweep
from sweeper.records import Scalar, TrialState
from sweeper.run.search.proposal import Evaluation, Proposal
from sweeper.run.search.with_optuna.terms import directions_of, distributions_of

_MARGIN = 0.001
"""The fit stays this far (a fraction) within each constraint. At the bound itself half of its
proposals would lie beyond by less than it resolves, and none of them would count."""


class GaussianProcess:
    """Fits objectives and constraints, failed proposals and running ones included."""

    def __init__(self, sweep: Sweep) -> None:
        self._search = sweep.search
        self._directions, self._distributions = directions_of(sweep), distributions_of(sweep)
        self._proposals: dict[int, Proposal] = {}
        self._evaluations: dict[int, Evaluation] = {}
        self._n_start = 1 + len(sweep.space)

    def asked(self, proposal: Proposal) -> None:
        """A proposal is being evaluated."""
        self._proposals[proposal.number] = proposal

    def tell(self, number: int, evaluation: Evaluation) -> None:
        """What it gave."""
        self._evaluations[number] = evaluation

    @property
    def knows_enough(self) -> bool:
        """Whether enough proposals are complete to fit anything."""
        return len(self._complete()) >= self._n_start

    def ask(self, seed: int) -> dict[str, Scalar]:
        """The point that promises most."""
        study = optuna.create_study(
            directions=self._directions,
            sampler=optuna.samplers.GPSampler(seed=seed, n_startup_trials=0),
        )
        study.add_trials([self._trial(number) for number in sorted(self._proposals)])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return dict(study.ask(self._distributions).params)

    def _complete(self) -> list[Evaluation]:
        return [e for e in self._evaluations.values() if e.state is TrialState.COMPLETE]

    def _trial(self, number: int) -> optuna.trial.FrozenTrial:
        """A proposal for the fit; one without results counts as bad as the worst.

        Left out, it would be proposed again and again: nothing else says that it fails.
        """
        params = dict(self._proposals[number].assignment)
        if (found := self._evaluations.get(number)) is None:
            return optuna.trial.create_trial(
                state=optuna.trial.TrialState.RUNNING,
                params=params,
                distributions=self._distributions,
            )
        is_complete = found.state is TrialState.COMPLETE
        values = list(found.values) if is_complete else self._worst(found)
        return optuna.trial.create_trial(
            values=values,
            params=params,
            distributions=self._distributions,
            constraints=self._constraints(found),
        )

    def _worst(self, found: Evaluation) -> list[float]:
        """The worst value of each objective; of a stopped one the last that it reported."""
        if found.curve and len(self._directions) == 1:
            return [found.curve[max(found.curve)]]
        values = np.array([e.values for e in self._complete()])
        is_minimised = [direction == "minimize" for direction in self._directions]
        return np.where(is_minimised, values.max(axis=0), values.min(axis=0)).tolist()

    def _constraints(self, found: Evaluation) -> dict[str, float]:
        """How far beyond each constraint, in logarithms where that is possible.

        A sparsity falls as a power of the penalty, so its logarithm is what a smooth process fits.
        """
        complete = self._complete()
        constraints = {
            name: _MARGIN
            + max(
                bounds.log_violation(e.measured[name])
                for e in ([found] if found.state is TrialState.COMPLETE else complete)
            )
            for name, bounds in self._search.constraints.items()
        }
        if any(e.state is TrialState.FAILED for e in self._evaluations.values()):
            constraints["fails"] = 1.0 if found.state is TrialState.FAILED else -1.0
        return constraints
