from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tests.trials.interrupted import Killed, assert_same
from trials.api import TrialError
from trials.pretrain.kind import KIND
from trials.pretrain.model import Trainer
from trials.training.trainer import learning_rate_at


@pytest.mark.parametrize("tying", ["tied", "untied"])
def test_a_trial_that_was_killed_goes_on_bit_for_bit(runs: Any, tying: str) -> None:
    config = runs.config(tying=tying, n_snapshots=5)
    undisturbed = KIND.execute(config, runs.context("undisturbed"))
    deaths = [10, 30]

    def report(step: int, metrics: Mapping[str, float]) -> None:
        if deaths and step == deaths[0]:
            raise Killed

    context = runs.context(report=report)
    for _ in range(2):
        with pytest.raises(Killed):
            KIND.execute(config, context)
        deaths.pop(0)
    result = KIND.execute(config, context)
    assert_same(KIND, result, undisturbed)
    assert list(context.checkpoint_dir.iterdir()) == []


def test_a_kill_between_checkpoints_repeats_only_what_was_lost(
    runs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = runs.config(n_evaluations=1, checkpoint_steps=15)
    undisturbed = KIND.execute(config, runs.context("undisturbed"))
    taken: list[int] = []
    take = Trainer._take

    def counted(trainer: Trainer, step: int) -> None:
        if step == 22 and 22 not in taken:
            taken.append(step)
            raise Killed
        taken.append(step)
        take(trainer, step)

    monkeypatch.setattr(Trainer, "_take", counted)
    with pytest.raises(Killed):
        KIND.execute(config, runs.context())
    del taken[:-1]
    assert_same(KIND, KIND.execute(config, runs.context()), undisturbed)
    assert taken == [22, *range(15, 40)]


def test_an_interrupted_trial_reports_at_once_and_goes_on_from_there(
    runs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = runs.config()
    undisturbed = KIND.execute(config, runs.context("undisturbed"))
    taken: list[int] = []
    take = Trainer._take

    def counted(trainer: Trainer, step: int) -> None:
        taken.append(step)
        take(trainer, step)

    monkeypatch.setattr(Trainer, "_take", counted)
    reports: list[tuple[int, dict[str, float]]] = []

    def report(step: int, metrics: Mapping[str, float]) -> None:
        reports.append((step, dict(metrics)))
        if len(taken) == 13:
            raise Killed

    context = runs.context(report=report, interrupted=lambda: len(taken) == 13)
    with pytest.raises(Killed):
        KIND.execute(config, context)
    assert [step for step, _ in reports] == [0, 10, 13]
    assert reports[-1][1]["loss_validation"] < reports[0][1]["loss_validation"]
    assert_same(KIND, KIND.execute(config, context._replace(interrupted=bool)), undisturbed)
    assert taken == list(range(40))
    assert [step for step, _ in reports] == [0, 10, 13, 20, 30, 40]


def test_a_checkpoint_of_another_trial_is_not_used(runs: Any) -> None:
    def die(step: int, metrics: Mapping[str, float]) -> None:
        if step == 10:
            raise Killed

    with pytest.raises(Killed):
        KIND.execute(runs.config(seed=1), runs.context(report=die))
    assert_same(
        KIND,
        KIND.execute(runs.config(seed=2), runs.context()),
        KIND.execute(runs.config(seed=2), runs.context("undisturbed")),
    )


def test_a_diverging_training_ends_with_its_step(
    runs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "trials.training.trainer.learning_rate_at",
        lambda schedule, step, last: 1e30 if step > 12 else 0.0,
    )
    with pytest.raises(TrialError, match=r"loss_validation is (nan|inf) after step 20: .* lower"):
        KIND.execute(runs.config(), runs.context())


def test_the_learning_rate_rises_and_falls_to_a_tenth(runs: Any) -> None:
    config = runs.config()
    rates = [learning_rate_at(config, step) for step in range(config.n_steps)]
    np.testing.assert_allclose(rates[:5], config.learning_rate * np.arange(1, 6) / 5)
    assert max(rates) == config.learning_rate
    assert sorted(rates[5:], reverse=True) == rates[5:]
    assert rates[-1] == pytest.approx(config.learning_rate / 10, rel=0.05)
