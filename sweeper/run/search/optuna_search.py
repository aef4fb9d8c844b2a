"""A search steered by Optuna, and the only module that imports it.

The study lives in memory. A new driver rebuilds it from the proposals in the journal and what
became of them; a proposal's random draws hang on the search's seed and its own number alone. So
a study that was rebuilt proposes what one that was never interrupted would.
"""

from __future__ import annotations

import math
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend, JournalStorage

from sweeper.declare.space import Choice, Dimension, FloatRange, IntRange
from sweeper.declare.sweep import Sweep
from sweeper.errors import UserError
from sweeper.records import Scalar, TrialState
from sweeper.run.search.points import Points
from sweeper.run.search.proposal import Evaluated, Evaluation, Proposal
from sweeper.store.scratch import scratch_folder

optuna.logging.set_verbosity(optuna.logging.WARNING)

_DIRECTION = {"minimise": "minimize", "maximise": "maximize"}
_MAX_REPEATS = 8
"""Draws of points asked before, after which a proposal is an unvisited point at random."""


class OptunaSearch:
    """Optuna's ask and tell over the sweep's space, one or several objectives, constrained.

    A sampler may draw a point that was asked before, in small spaces often. That teaches nothing:
    it draws again, and the study is not told of it.
    """

    adapts = True

    def __init__(self, sweep: Sweep) -> None:
        if sweep.trials is None:
            raise UserError("an Optuna search needs 'trials'", where=sweep.origin)
        self._n_trials, self._n_asked = sweep.trials, 0
        self._search, self._points = sweep.search, Points(sweep.space)
        self._distributions = _distributions(sweep)
        self._study = optuna.create_study(directions=_directions(sweep))
        self._running: dict[int, optuna.Trial] = {}

    def ask(self) -> Proposal | None:
        """The sampler's next choice; None after the declared number, or all points that exist."""
        if self._n_asked == self._n_trials or self._points.all_visited:
            return None
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

    def adopt(self, assignment: Mapping[str, Scalar]) -> Proposal | None:
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

    def _asked(self, trial: optuna.Trial) -> Proposal:
        proposal = Proposal(self._n_asked, dict(trial.params))
        self._running[proposal.number] = trial
        self._n_asked += 1
        return proposal

    def _fixed(self, assignment: Mapping[str, Scalar]) -> optuna.Trial:
        """A running trial of the study at a given point."""
        self._study.sampler = optuna.samplers.RandomSampler(seed=0)  # has nothing to draw
        self._study.enqueue_trial(dict(assignment))
        return self._study.ask(self._distributions)

    def _sampler(self, repeat: int) -> optuna.samplers.BaseSampler:
        """The sampler of the next proposal, at its first draw or after a number of repeats."""
        entropy = (self._search.seed, self._n_asked, repeat)
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        if self._search.sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        return optuna.samplers.TPESampler(seed=seed)


# ---- for optuna-dashboard ------------------------------------------------------------------


def export_study(sweep: Sweep, evaluated: Iterable[Evaluated], path: Path) -> None:
    """Write what became of a sweep's proposals as an Optuna study, whole or not at all.

    For other tools to look at, whatever the sweep's search; nothing of ours reads it. Optuna 5
    keeps each constraint under `constraints:NAME`; optuna-dashboard looks for the list
    `constraints` that Optuna 4 kept, so it shows trials beyond a constraint as feasible.
    """
    logs = _Logs()
    study = optuna.create_study(
        storage=JournalStorage(logs), study_name=sweep.name, directions=_directions(sweep)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([objective.metric for objective in sweep.search.objectives])
    distributions = _distributions(sweep)
    for one in sorted(evaluated, key=lambda one: one.proposal.number):
        study.add_trial(_frozen_trial(one, distributions))
    aside = path.with_name(f"{path.name}.partial")
    with scratch_folder("study") as scratch:  # the backend leaves a lock if it is killed
        written = scratch / path.name
        JournalFileBackend(str(written)).append_logs(logs.logs)
        shutil.copyfile(written, aside)
    aside.replace(path)


class _Logs(BaseJournalBackend):
    """Holds a study's log in memory: a file would be locked and synced once a trial."""

    def __init__(self) -> None:
        self.logs: list[dict[str, Any]] = []

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        return iter(self.logs[log_number_from:])

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self.logs += logs


_STATE = {
    TrialState.COMPLETE: optuna.trial.TrialState.COMPLETE,
    TrialState.PRUNED: optuna.trial.TrialState.PRUNED,
    TrialState.FAILED: optuna.trial.TrialState.FAIL,
}


def _frozen_trial(
    one: Evaluated, distributions: dict[str, BaseDistribution]
) -> optuna.trial.FrozenTrial:
    """An Optuna trial of all seeds of a proposal, its metrics (means) beside the objectives."""
    found = one.evaluation
    complete = [o.metrics for o in one.outcomes if o.state is TrialState.COMPLETE]
    means = {
        name: float(np.mean([metrics[name] for metrics in complete]))
        for name in (complete[0] if complete else ())
    }
    trouble = "; ".join(filter(None, (o.error or o.uncertified for o in one.outcomes)))
    trial = optuna.trial.create_trial(
        state=_STATE[found.state],
        values=list(found.values) or None,
        params=dict(one.proposal.assignment),
        distributions=distributions,
        constraints=dict(found.violations),
        intermediate_values=dict(found.curve),
        user_attrs={name: mean for name, mean in means.items() if math.isfinite(mean)}
        | ({"trouble": trouble} if trouble else {}),
    )
    if one.outcomes:
        trial.datetime_start = _datetime(min(o.started_ms for o in one.outcomes))
        trial.datetime_complete = _datetime(max(o.ended_ms for o in one.outcomes))
    return trial


def _datetime(unix_ms: int) -> datetime:
    return datetime.fromtimestamp(unix_ms / 1000)


# ---- in Optuna's terms ---------------------------------------------------------------------


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


def _distributions(sweep: Sweep) -> dict[str, BaseDistribution]:
    return {name: distribution(dimension) for name, dimension in sweep.space.items()}


def _directions(sweep: Sweep) -> list[str]:
    return [_DIRECTION[objective.direction] for objective in sweep.search.objectives]
