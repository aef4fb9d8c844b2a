from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.trials.interrupted import Killed, assert_same
from trials.api import TrialError
from trials.embedding_only.kind import KIND
from trials.embedding_only.model import Trainer


@pytest.mark.parametrize("trained", ["both", "everything"])
def test_a_trial_that_was_killed_goes_on_bit_for_bit(trials_here: Any, trained: str) -> None:
    config = trials_here.config(trained=trained)
    undisturbed = KIND.execute(config, trials_here.context("undisturbed"))
    deaths = [0, 4, 8]

    def report(step: int, metrics: Mapping[str, float]) -> None:
        if deaths and step == deaths[0]:
            raise Killed

    context = trials_here.context(report=report)
    for _ in range(3):
        with pytest.raises(Killed):
            KIND.execute(config, context)
        deaths.pop(0)
    assert_same(KIND, KIND.execute(config, context), undisturbed)
    assert list(context.checkpoint_dir.iterdir()) == []


def test_an_interrupted_trial_reports_at_once_and_goes_on_from_there(
    trials_here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = trials_here.config()
    undisturbed = KIND.execute(config, trials_here.context("undisturbed"))
    taken: list[int] = []
    take = Trainer._take

    def counted(trainer: Trainer, step: int) -> None:
        taken.append(step)
        take(trainer, step)

    monkeypatch.setattr(Trainer, "_take", counted)
    reports: list[int] = []

    def report(step: int, metrics: Mapping[str, float]) -> None:
        assert set(metrics) == set(KIND.reports)
        reports.append(step)
        if len(taken) == 6:
            raise Killed

    context = trials_here.context(report=report, interrupted=lambda: len(taken) == 6)
    with pytest.raises(Killed):
        KIND.execute(config, context)
    assert reports == [0, 4, 6]
    assert_same(KIND, KIND.execute(config, context._replace(interrupted=bool)), undisturbed)
    assert taken == list(range(12))
    assert reports == [0, 4, 6, 8, 12]


def test_a_checkpoint_of_another_trial_is_not_used(trials_here: Any) -> None:
    def die(step: int, metrics: Mapping[str, float]) -> None:
        if step == 8:
            raise Killed

    with pytest.raises(Killed):
        KIND.execute(trials_here.config(seed=1), trials_here.context(report=die))
    assert_same(
        KIND,
        KIND.execute(trials_here.config(seed=2), trials_here.context()),
        KIND.execute(trials_here.config(seed=2), trials_here.context("undisturbed")),
    )


def test_a_diverging_training_ends_with_its_step(
    trials_here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "trials.training.trainer.learning_rate_at",
        lambda schedule, step, last: float("inf") if step > 5 else 0.0,
    )
    with pytest.raises(TrialError, match=r"loss_validation is (nan|inf) after step 8: .* lower"):
        KIND.execute(trials_here.config(), trials_here.context())
