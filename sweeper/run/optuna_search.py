"""A search steered by Optuna, and the only module that imports it.

The study lives in memory and is rebuilt by asking and telling again: memoised trials answer at
once, so a resumed sweep reaches the state it had without trusting a pickle.
"""

from __future__ import annotations

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from sweeper.declare.space import Choice, Dimension, FloatRange, IntRange
from sweeper.declare.sweep import Sweep
from sweeper.errors import UserError
from sweeper.run.proposal import Evaluation, Proposal

optuna.logging.set_verbosity(optuna.logging.WARNING)

_DIRECTION = {"minimise": "minimize", "maximise": "maximize"}


class OptunaSearch:
    """Optuna's ask and tell over the sweep's space, one or several objectives, constrained."""

    def __init__(self, sweep: Sweep) -> None:
        if sweep.trials is None:
            raise UserError("an Optuna search needs 'trials'", where=sweep.origin)
        self._n_left = sweep.trials
        self._space = {name: distribution(d) for name, d in sweep.space.items()}
        self._study = optuna.create_study(
            directions=[_DIRECTION[o.direction] for o in sweep.search.objectives],
            sampler=_sampler(sweep),
            study_name=sweep.name,
        )
        self._asked: dict[int, optuna.Trial] = {}

    def ask(self) -> Proposal | None:
        """The sampler's next choice; None after the declared number of trials."""
        if self._n_left == 0:
            return None
        self._n_left -= 1
        trial = self._study.ask(self._space)
        self._asked[trial.number] = trial
        return Proposal(trial.number, dict(trial.params))

    def tell(self, proposal: Proposal, evaluation: Evaluation | None) -> None:
        """Complete the study's trial, or mark it failed so that the sampler ignores it."""
        trial = self._asked.pop(proposal.number)
        if evaluation is None:
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            return
        for name, violation in evaluation.violations.items():
            trial.set_constraint(name, violation)
        self._study.tell(trial, list(evaluation.values))


def distribution(dimension: Dimension) -> BaseDistribution:
    """Optuna's equivalent of one dimension, bounds inclusive on both sides."""
    match dimension:
        case Choice():
            return CategoricalDistribution(list(dimension.values))
        case IntRange():
            step = 1 if dimension.log else (dimension.step or 1)
            return IntDistribution(dimension.low, dimension.high, log=dimension.log, step=step)
        case FloatRange():
            return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
    raise TypeError(f"no distribution for {type(dimension).__name__}")


def _sampler(sweep: Sweep) -> optuna.samplers.BaseSampler:
    if sweep.search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=sweep.search.seed)
    return optuna.samplers.TPESampler(seed=sweep.search.seed)
