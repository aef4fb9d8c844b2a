"""What became of a sweep's proposals, as an Optuna study for other tools to look at."""

from __future__ import annotations

import math
import shutil
import warnings
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend, JournalStorage

from sweeper.declare.sweep import Sweep
from sweeper.records import TrialState
from sweeper.run.search.proposal import Evaluated
from sweeper.run.search.with_optuna.terms import directions_of, distributions_of
from sweeper.store.scratch import scratch_folder


def export_study(sweep: Sweep, evaluated: Iterable[Evaluated], path: Path) -> None:
    """Write what became of a sweep's proposals as an Optuna study, whole or not at all.

    For other tools to look at, whatever the sweep's search; nothing of ours reads it. Optuna 5
    keeps each constraint under `constraints:NAME`; optuna-dashboard looks for the list
    `constraints` that Optuna 4 kept, so it shows trials beyond a constraint as feasible.
    """
    logs = _Logs()
    study = optuna.create_study(
        storage=JournalStorage(logs), study_name=sweep.name, directions=directions_of(sweep)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([objective.metric for objective in sweep.search.objectives])
    distributions = distributions_of(sweep)
    of_real = (one for one in evaluated if one.proposal.null is None)
    for one in sorted(of_real, key=lambda one: one.proposal.number):
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
