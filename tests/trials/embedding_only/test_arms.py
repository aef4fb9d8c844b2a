from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from trials.api import TrialError
from trials.embedding_only.config import EmbeddingOnlyConfig
from trials.embedding_only.data import open_data
from trials.embedding_only.kind import KIND
from trials.embedding_only.measure import chance_accuracy, layers
from trials.embedding_only.model import Trainer, build_model, evaluate, sinusoidal
from trials.inputs.algorithmic_tasks import Sequences

TASKS = (
    "modular_addition",
    "needle",
    "decimal_addition",
    "brackets",
    "memorisation",
    "language_modelling",
)
INPUT, POSITIONS = {"transformer.wte.weight"}, {"transformer.wpe.weight"}
OUTPUT = {"lm_head.weight"}
D_MODEL = 16


def trainer_of(config: EmbeddingOnlyConfig) -> Trainer:
    data = open_data(config)
    return Trainer(build_model(config, len(data.names), data.context), data.batches, config, "cpu")


@pytest.mark.parametrize("task", TASKS)
def test_every_task_runs(trials_here: Any, task: str) -> None:
    result = trials_here.run(task=task)
    metrics = result.metrics
    assert set(metrics) == set(KIND.metric_names)
    assert 0 < metrics["chance_accuracy"] < 1
    assert result.tables["learning_curve"]["step"] == [0, 4, 8, 12]
    assert metrics["loss_validation"] == result.tables["learning_curve"]["loss_validation"][-1]
    assert math.isnan(metrics["memorised_bits_per_parameter"]) == (task != "memorisation")
    has_shortcut = task in ("needle", "decimal_addition", "brackets")
    assert math.isnan(metrics["shortcut_accuracy"]) != has_shortcut
    assert metrics["exact_match_held_out"] <= metrics["accuracy_held_out"]
    n_vocab = int(result.facts["n_vocab"])
    for stem in ("step-000000", "step-000012"):
        assert result.arrays[stem]["input_embedding"].shape == (n_vocab, D_MODEL)
        assert result.arrays[stem]["output_embedding"].shape == (n_vocab, D_MODEL)
    assert len(result.tables["vocabulary"]["token"]) == n_vocab


@pytest.mark.parametrize(
    ("changes", "trained"),
    [
        ({"trained": "embedding"}, INPUT | POSITIONS),
        ({"trained": "unembedding"}, OUTPUT),
        ({"trained": "both"}, INPUT | POSITIONS | OUTPUT),
        ({"trained": "both", "positions": "frozen_random"}, INPUT | OUTPUT),
        ({"trained": "everything", "positions": "frozen_sinusoidal"}, {"all", *POSITIONS}),
        ({"trained": "everything"}, {"all"}),
        ({"trained": "body"}, {"all", *INPUT, *POSITIONS, *OUTPUT}),
    ],
)
def test_what_is_not_trained_stays_bit_for_bit_and_the_rest_moves(
    trials_here: Any,
    weights_of: Callable[[Any], dict[str, Any]],
    changes: dict[str, Any],
    trained: set[str],
) -> None:
    """`all` with others stands for all but those."""
    trainer = trainer_of(trials_here.config(**changes))
    before = weights_of(trainer.model)
    trainer.advance(12)
    after = weights_of(trainer.model)
    expected = set(before) - trained if "all" in trained else trained
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == expected
    assert all(p.grad is None for n, p in trainer.model.named_parameters() if n not in expected)


def test_arms_of_a_seed_begin_with_the_same_weights_and_see_the_same_batches(
    trials_here: Any, weights_of: Callable[[Any], dict[str, Any]]
) -> None:
    arms = [trials_here.config(trained=arm) for arm in ("embedding", "everything")]
    first, second = (weights_of(build_model(config, 9, 5)) for config in arms)
    assert all(torch.equal(first[name], second[name]) for name in first)
    batches = [open_data(config).batches[3].tokens for config in arms]
    np.testing.assert_array_equal(*batches)


def test_seeds_share_the_sets_that_are_tested(trials_here: Any) -> None:
    one, other = (open_data(trials_here.config(seed=seed)) for seed in (0, 1))
    np.testing.assert_array_equal(one.held_out.tokens, other.held_out.tokens)
    assert (one.batches[0].tokens != other.batches[0].tokens).any()


@pytest.mark.parametrize("task", ["modular_addition", "brackets", "decimal_addition"])
def test_training_never_sees_what_is_tested(trials_here: Any, task: str) -> None:
    data = open_data(trials_here.config(task=task))
    sides = [{row.tobytes() for row in s.tokens} for s in (data.validation, data.held_out)]
    seen = {row.tobytes() for step in range(200) for row in data.batches[step].tokens}
    assert not sides[0] & sides[1]
    assert not seen & (sides[0] | sides[1])


def test_text_is_trained_and_tested_on_different_sides(trials_here: Any) -> None:
    data = open_data(trials_here.config(task="language_modelling"))
    assert data.validation.scored.all()
    assert data.validation.tokens.shape == (30, 17)
    config = trials_here.config(task="language_modelling")
    assert set(KIND.input_digests(config)) == {"corpus"}
    assert KIND.input_digests(trials_here.config()) == {}


def test_positions_can_be_waves() -> None:
    table = sinusoidal(50, 16)
    torch.testing.assert_close((table**2).mean(dim=1), torch.ones(50))
    torch.testing.assert_close(table[:, 0], math.sqrt(2) * torch.sin(torch.arange(50.0)))
    turned = table @ table.T  # depends on the distance alone
    torch.testing.assert_close(turned[:-1, :-1], turned[1:, 1:])


def test_only_what_counts_is_scored(trials_here: Any) -> None:
    """A model whose logits say the token itself is right where the next is the same."""
    trainer = trainer_of(trials_here.config(d_model=16, n_layers=1))
    model = trainer.model
    with torch.no_grad():
        for parameter in (*model.transformer.h.parameters(), model.transformer.wpe.weight):
            parameter.zero_()
        model.transformer.wte.weight.copy_(torch.eye(12, 16))
        model.lm_head.weight.copy_(torch.eye(12, 16))
    tokens = np.array([[1, 1, 2, 2, 3, 4], [5, 5, 5, 5, 5, 5]])
    scored = np.array([[1, 0, 1, 0, 1], [0, 0, 1, 1, 0]], bool)
    found = evaluate(trainer, Sequences(tokens, scored))
    assert found.accuracy == pytest.approx(4 / 5)
    assert found.exact_match == 0.5
    assert found.loss > 0


def test_chance_is_the_most_frequent_token_of_a_place() -> None:
    tokens = np.array([[0, 1, 2], [0, 1, 3], [0, 1, 3]])
    batch = Sequences(tokens, np.ones((3, 2), bool))
    test = Sequences(np.array([[0, 1, 3], [0, 2, 3]]), np.ones((2, 2), bool))
    assert chance_accuracy(batch, test, 4) == 3 / 4


def test_an_untrained_model_remembers_nothing_and_a_trained_one_a_little(
    trials_here: Any,
) -> None:
    memory = {"task": "memorisation", "n_keys": 8, "n_values": 4, "n_test": 16, "batch_size": 64}
    untrained = trials_here.run(**memory, learning_rate=1e-12).metrics
    trained = trials_here.run(
        **memory, learning_rate=0.02, n_steps=150, trained="everything"
    ).metrics
    assert untrained["memorised_bits_per_parameter"] < 0.05
    assert trained["accuracy_validation"] > 0.9
    bits = trained["memorised_bits_per_parameter"] * trained["n_trainable"]
    assert 0.8 * 128 < bits <= 128


def test_shares_of_the_variance_follow_the_directions(trials_here: Any) -> None:
    trainer = trainer_of(trials_here.config(d_model=64))
    before = layers(trainer, open_data(trials_here.config()).validation)
    assert [layer.layer for layer in before] == [0, 1, 2]
    model = trainer.model
    with torch.no_grad():
        for parameter in (*model.transformer.h.parameters(), model.transformer.wpe.weight):
            parameter.zero_()
        direction = torch.ones(64) / 8
        model.transformer.wte.weight.copy_(torch.arange(12.0)[:, None] * direction)
    for layer in layers(trainer, open_data(trials_here.config()).validation):
        assert layer.components == pytest.approx(1)
        assert layer.neurons == pytest.approx(10 / 64)
    assert all(10 / 64 < layer.neurons < layer.components <= 1 for layer in before)


def test_a_random_body_finds_a_needle_if_it_is_wide_and_not_if_it_is_narrow(
    trials_here: Any,
) -> None:
    """The claim, at the smallest size that shows it."""
    task = {"n_pairs": 2, "n_values": 16, "n_heads": 4, "batch_size": 64, "n_steps": 300}
    course = {"warm_up_steps": 50, "n_test": 100, "n_evaluations": 2}
    wide = trials_here.run(**task, **course, d_model=96).metrics
    narrow = trials_here.run(**task, **course, d_model=8).metrics
    assert wide["accuracy_held_out"] > 0.95
    assert narrow["accuracy_held_out"] < 0.8
    assert wide["chance_accuracy"] < 0.15


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"d_model": 15}, "d_model is 15, which n_heads 2 does not divide"),
        ({"warm_up_steps": 12}, "n_steps is 12; there must be more than warm_up_steps 12"),
        ({"task": "brackets", "n_brackets": 7}, "n_brackets is 7; only an even number"),
        ({"task": "brackets", "n_brackets": 10}, "may take 42 .* of brackets: at most 21 each"),
        (
            {"task": "modular_addition", "n_test": 13},
            "may take 24 different sequences of modular_addition: at most 12 each",
        ),
        ({"initial_std": 0.0}, 'initial_std is 0.0; it must be above 0 and at most 1, or "by_wid'),
    ],
)
def test_bad_configs_are_refused_in_one_line(
    trials_here: Any, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        trials_here.config(**fields)


def test_a_task_that_is_too_small_for_its_sets_is_one_line(trials_here: Any) -> None:
    with pytest.raises(TrialError, match=r"n_test is 30; needle is small: .*found 4$"):
        trials_here.run(n_pairs=1, n_values=4)


def test_both_sets_are_like_the_stream(trials_here: Any) -> None:
    data = open_data(trials_here.config(task="brackets", n_test=500))
    sets = (data.typical, data.validation, data.held_out)
    shares = [(s.answers == data.names.index("balanced")).mean() for s in sets]
    assert shares == pytest.approx([0.47] * 3, abs=0.1)


def test_a_size_sets_what_is_not_given_by_task_and_arm() -> None:
    def config(**fields: Any) -> EmbeddingOnlyConfig:
        return EmbeddingOnlyConfig.model_validate(fields)

    paper = config(task="modular_addition", size="paper")
    assert (paper.modulus, paper.batch_size, paper.learning_rate) == (199, 4000, 1e-3)
    assert (paper.d_model, paper.resolved_std, paper.warm_up_steps) == (1024, 0.02, 500)
    assert config(task="needle", size="paper", d_model=16).n_pairs == 30
    assert config(task="needle", size="paper", width="narrow").d_model == 16
    assert config(task="needle", width="narrow", d_model=64).d_model == 64
    tiny = config(task="needle")
    assert tiny.resolved_std == pytest.approx(1 / math.sqrt(tiny.d_model))
    assert tiny.learning_rate > config(task="needle", trained="everything").learning_rate
