"""A search steered by Optuna.

The study lives in memory. A new driver rebuilds it from the proposals in the journal and what
became of them; a proposal's random draws hang on the search's seed and its own number alone. So
a study that was rebuilt proposes what one that was never interrupted would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import optuna

from sweeper.declare.sweep import Sweep
from sweeper.errors import UserError
from sweeper.records import Scalar, TrialState
from sweeper.run.search.points import Points
from sweeper.run.search.proposal import Evaluation, Proposal
from sweeper.run.search.samplers import sampler_of
from sweeper.run.search.with_optuna.gaussian_process import GaussianProcess
from sweeper.run.search.with_optuna.quasi_random import QuasiRandom
from sweeper.run.search.with_optuna.terms import directions_of, distributions_of

_MAX_REPEATS = 8
"""Draws of points asked before, after which a proposal is an unvisited point at random."""


class OptunaSearch:
    """Optuna's ask and tell over the sweep's space, one or several objectives, constrained.

    A sampler may draw a point that was asked before, in small spaces often. That teaches nothing:
    it draws again, and the study is not told of it.
    """

    adapts = True
    tunes_nulls = waits = False
    notes: Sequence[str] = ()

    def __init__(self, sweep: Sweep) -> None:
        if sweep.trials is None:
            raise UserError("an Optuna search needs 'trials'", where=sweep.origin)
        self._n_trials, self._n_asked = sweep.trials, 0
        self._search, self._points = sweep.search, Points(sweep.space)
        self._distributions = distributions_of(sweep)
        self._study = optuna.create_study(directions=directions_of(sweep))
        self._running: dict[int, optuna.Trial] = {}
        self._sampler_name = sampler_of(sweep)
        self._quasi_random = QuasiRandom(sweep.space, self._search.seed)
        self._gp = GaussianProcess(sweep) if self._sampler_name == "gp" else None

    def ask(self) -> Proposal | None:
        """The sampler's next choice; None after the declared number, or all points that exist."""
        if self._n_asked == self._n_trials or self._points.all_visited:
            return None
        if (point := self._fitted_or_even()) is not None and self._points.visit(point):
            return self._asked(self._fixed(point))
        for repeat in range(_MAX_REPEATS):
            self._study.sampler = self._sampler(repeat)
            trial = self._study.ask(self._distributions)
            if self._points.visit(trial.params):
                return self._asked(trial)
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        rng = np.random.default_rng((self._search.seed, self._n_asked))
        if (another := self._points.visit_another(rng)) is None:
            return None
        return self._asked(self._fixed(another))

    def adopt(self, assignment: Mapping[str, Scalar], null: str | None = None) -> Proposal | None:
        """Put a proposal of an earlier driver back into the study, as running until it is told.

        None beyond the declared number, outside of the space, and for what was asked already.
        """
        if self._n_asked == self._n_trials or assignment not in self._points:
            return None
        if not self._points.visit(assignment):
            return None
        return self._asked(self._fixed(assignment))

    def tell(self, proposal: Proposal, evaluation: Evaluation) -> None:
        """Complete the study's trial, or mark it as pruned or failed.

        A failed one is ignored by the sampler, a pruned one ranks behind all complete ones. Optuna
        knows no pruning with several objectives: there it counts as failed.
        """
        trial = self._running.pop(proposal.number)
        if self._gp is not None:
            self._gp.tell(proposal.number, evaluation)
        if evaluation.state is TrialState.COMPLETE:
            for name, violation in evaluation.violations.items():
                trial.set_constraint(name, violation)
            self._study.tell(trial, list(evaluation.values))
        elif evaluation.state is TrialState.PRUNED and len(self._search.objectives) == 1:
            for step, value in evaluation.curve.items():
                trial.report(value, step)
            self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)

    def _fitted_or_even(self) -> dict[str, Scalar] | None:
        """The Gaussian process's choice, or a point of the even sequence before it knows enough.

        None under a sampler that is no Gaussian process and no even sequence.
        """
        if self._sampler_name == "qmc":
            return self._quasi_random.point(self._n_asked)
        if self._gp is None:
            return None
        if self._gp.knows_enough:
            return self._gp.ask(self._seed(0))
        return self._quasi_random.point(self._n_asked)

    def _asked(self, trial: optuna.Trial) -> Proposal:
        proposal = Proposal(self._n_asked, dict(trial.params))
        self._running[proposal.number] = trial
        if self._gp is not None:
            self._gp.asked(proposal)
        self._n_asked += 1
        return proposal

    def _fixed(self, assignment: Mapping[str, Scalar]) -> optuna.Trial:
        """A running trial of the study at a given point."""
        self._study.sampler = optuna.samplers.RandomSampler(seed=0)  # has nothing to draw
        self._study.enqueue_trial(dict(assignment))
        return self._study.ask(self._distributions)

    def _sampler(self, repeat: int) -> optuna.samplers.BaseSampler:
        """The sampler of the next proposal, at its first draw or after a number of repeats."""
        if self._sampler_name == "tpe":
            return optuna.samplers.TPESampler(seed=self._seed(repeat))
        return optuna.samplers.RandomSampler(seed=self._seed(repeat))

    def _seed(self, repeat: int) -> int:
        entropy = (self._search.seed, self._n_asked, repeat)
        return int(np.random.SeedSequence(entropy).generate_state(1)[0])
