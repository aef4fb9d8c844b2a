"""One suite over the kinds that train a model: what a kill, an interrupt or a divergence leaves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.trials.interrupted import Killed, assert_same
from trials.api import Context, TrialError, TrialKind, TrialResult
from trials.embedding_only import kind as embedding_only
from trials.embedding_only import model as embedding_only_model
from trials.pretrain import kind as pretrain
from trials.pretrain import model as pretrain_model
from trials.training.trainer import learning_rate_at


class Training(NamedTuple):
    """A kind that trains, where its trials run, and the steps of its smallest trial.

    Attributes:
        every: steps between two evaluations, each with a checkpoint.
        arms: settings that train different parts of the model.
    """

    kind: TrialKind
    trainer: Any
    place: Any
    n_steps: int
    every: int
    arms: tuple[dict[str, Any], ...]

    def execute(self, context: Context, **changes: Any) -> TrialResult:
        return self.kind.execute(self.place.config(**changes), context)

    def undisturbed(self, **changes: Any) -> TrialResult:
        return self.execute(self.place.context("undisturbed"), **changes)


@pytest.fixture(params=["embedding_only", "pretrain"])
def training(request: pytest.FixtureRequest) -> Training:
    if request.param == "pretrain":
        place = request.getfixturevalue("runs")
        arms: tuple[dict[str, Any], ...] = ({"tying": "tied", "n_snapshots": 5}, {})
        return Training(pretrain.KIND, pretrain_model.Trainer, place, 40, 10, arms)
    place = request.getfixturevalue("trials_here")
    arms = ({"trained": "both"}, {"trained": "everything"})
    return Training(embedding_only.KIND, embedding_only_model.Trainer, place, 12, 4, arms)


def count_steps(
    training: Training, monkeypatch: pytest.MonkeyPatch, dies_at: int = -1
) -> list[int]:
    """The steps that are taken from now on; the first attempt at `dies_at` is killed."""
    taken: list[int] = []
    take = training.trainer._take

    def counted(trainer: Any, step: int) -> None:
        first = step not in taken
        taken.append(step)
        if step == dies_at and first:
            raise Killed
        take(trainer, step)

    monkeypatch.setattr(training.trainer, "_take", counted)
    return taken


@pytest.mark.parametrize("arm", [0, 1])
def test_a_trial_that_was_killed_goes_on_bit_for_bit(training: Training, arm: int) -> None:
    changes = training.arms[arm]
    undisturbed = training.undisturbed(**changes)
    deaths = [0, training.every, 2 * training.every]

    def report(step: int, metrics: Mapping[str, float]) -> None:
        if deaths and step == deaths[0]:
            raise Killed

    context = training.place.context(report=report)
    while deaths:
        with pytest.raises(Killed):
            training.execute(context, **changes)
        deaths.pop(0)
    assert_same(training.kind, training.execute(context, **changes), undisturbed)
    assert list(context.checkpoint_dir.iterdir()) == []


def test_a_kill_between_checkpoints_repeats_only_what_was_lost(
    training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    dies_at, n_steps = training.n_steps // 2 + 1, training.n_steps
    changes = {"n_evaluations": 1, "checkpoint_steps": dies_at - 1}
    undisturbed = training.undisturbed(**changes)
    taken = count_steps(training, monkeypatch, dies_at)
    context = training.place.context()
    with pytest.raises(Killed):
        training.execute(context, **changes)
    del taken[:-1]
    assert_same(training.kind, training.execute(context, **changes), undisturbed)
    assert taken == [dies_at, *range(dies_at - 1, n_steps)]


def test_an_interrupted_trial_reports_at_once_and_goes_on_from_there(
    training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    every, n_steps = training.every, training.n_steps
    stops_at = every + every // 2
    undisturbed = training.undisturbed()
    taken = count_steps(training, monkeypatch)
    reports: list[int] = []

    def report(step: int, metrics: Mapping[str, float]) -> None:
        assert set(metrics) == set(training.kind.reports)
        reports.append(step)
        if len(taken) == stops_at:
            raise Killed

    context = training.place.context(report=report, interrupted=lambda: len(taken) == stops_at)
    with pytest.raises(Killed):
        training.execute(context)
    assert reports == [0, every, stops_at]
    result = training.execute(context._replace(interrupted=bool))
    assert_same(training.kind, result, undisturbed)
    assert taken == list(range(n_steps))
    assert reports == [0, every, stops_at, *range(2 * every, n_steps + 1, every)]


def test_a_checkpoint_of_another_trial_is_not_used(training: Training) -> None:
    def die(step: int, metrics: Mapping[str, float]) -> None:
        if step == training.every:
            raise Killed

    with pytest.raises(Killed):
        training.execute(training.place.context(report=die), seed=1)
    result = training.execute(training.place.context(), seed=2)
    assert_same(training.kind, result, training.undisturbed(seed=2))


def test_a_diverging_training_ends_with_its_step(
    training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = training.every
    monkeypatch.setattr(
        "trials.training.trainer.learning_rate_at",
        lambda schedule, step, last: 1e30 if step > every + 2 else 0.0,
    )
    expected = rf"loss_validation is (nan|inf) after step {2 * every}: .* lower"
    with pytest.raises(TrialError, match=expected):
        training.execute(training.place.context())


def test_the_learning_rate_rises_and_falls_to_a_tenth(runs: Any) -> None:
    config = runs.config()
    rates = [learning_rate_at(config, step) for step in range(config.n_steps)]
    np.testing.assert_allclose(rates[:5], config.learning_rate * np.arange(1, 6) / 5)
    assert max(rates) == config.learning_rate
    assert sorted(rates[5:], reverse=True) == rates[5:]
    assert rates[-1] == pytest.approx(config.learning_rate / 10, rel=0.05)
