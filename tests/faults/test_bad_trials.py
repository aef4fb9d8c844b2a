"""Trials that go wrong in every way: each fails with its reason, and no study holds a zombie."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos.sweep import MakeSweep, Sweep
from chaos.table import Demand

from sweeper.records import TrialState
from sweeper.store.journal import Reported

HERE = {
    "nan": "loss_validation",
    "inf": "loss_validation",
    "missing": "loss_validation",
    "raise": "ZeroDivisionError: the step is broken",
    "refuse": "fate 'refuse': the step refuses",
}
IN_A_WORKER = {"exit": "died", "memory": "memory"}


def sweep_of(fates: dict[str, str]) -> str:
    return f"""
kind: stepper
fixed: {{marks: marks, n_steps: 3}}
space: {{fate: [well, {", ".join(fates)}], x: {{low: -1.0, high: 1.0}}}}
search: {{method: optuna, sampler: random}}
trials: {4 * (len(fates) + 1)}
limits: {{retries: 1, memory_gib: 1}}
"""


def demand_reasons(demand: Demand, sweep: Sweep, reasons: dict[str, str]) -> None:
    rows = sweep.rows()
    assert {row.params["fate"] for row in rows} == {"well", *reasons}
    well = {row.state for row in rows if row.params["fate"] == "well"}
    assert well == {TrialState.COMPLETE}
    for fate, reason in reasons.items():
        ended = [row for row in rows if row.params["fate"] == fate]
        failed = sum(row.state is TrialState.FAILED and reason in row.error for row in ended)
        demand(f"trial: {fate}", len(ended), "FAILED with its reason", failed, equals=len(ended))
    database = sweep.database
    n_bad = len(rows)
    demand("trials gone wrong", n_bad, "RUNNING orphans", database.orphans(), equals=0)
    demand("trials gone wrong", n_bad, "zombies in the study", n_zombies(sweep), equals=0)
    n_told = n_told_values(sweep)
    n_well = sum(row.params["fate"] == "well" for row in rows)
    demand("trials gone wrong", n_bad, "values that the study was told", n_told, equals=n_well)


def study(sweep: Sweep) -> list[object]:
    """The trials of the study, as optuna-dashboard reads them."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    path = next(Path(sweep.place.sweep_dir(sweep.name)).glob("*optuna*"))
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(path)))
    [summary] = storage.get_all_studies()
    return list(storage.get_all_trials(summary._study_id))


def n_zombies(sweep: Sweep) -> int:
    return sum(trial.state.name in ("RUNNING", "WAITING") for trial in study(sweep))


def n_told_values(sweep: Sweep) -> int:
    return sum(trial.state.name == "COMPLETE" for trial in study(sweep))


def test_a_trial_that_goes_wrong_fails_with_its_reason(
    make_sweep: MakeSweep, demand: Demand
) -> None:
    sweep = make_sweep(sweep_of(HERE))
    assert sweep.run().code == 1
    demand_reasons(demand, sweep, HERE)


@pytest.mark.chaos
def test_a_trial_that_takes_its_process_along_fails_with_its_reason(
    make_sweep: MakeSweep, demand: Demand
) -> None:
    sweep = make_sweep(sweep_of(IN_A_WORKER), ray=True)
    assert sweep.run().code == 1
    demand_reasons(demand, sweep, IN_A_WORKER)


@pytest.mark.chaos
def test_a_worker_that_dies_once_goes_on_from_its_checkpoint(
    make_sweep: MakeSweep, demand: Demand
) -> None:
    text = """
kind: stepper
fixed: {marks: marks, n_steps: 6, checkpoint_every: 2, fate: exit_once, fate_step: 6}
space: {x: [0.0, 1.0]}
"""
    sweep = make_sweep(text, ray=True)
    assert sweep.run().code == 0
    redone = sweep.most_redone()
    demand("trial: os._exit, once", 2, "steps redone after a death, at most", redone, at_most=2)
    last = {e.key: e.step for e in sweep.events() if isinstance(e, Reported)}
    demand("trial: os._exit, once", 2, "last step", set(last.values()), equals={6})
