from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from transformers import GPT2LMHeadModel

from trials.api import TrialError
from trials.inputs.models import check_model_uri, open_model
from trials.inputs.models.gpt2 import Architecture, new_gpt2

SHAPE = Architecture(
    n_vocab=50, n_layers=1, n_heads=2, d_model=8, context=16, tied=0, output_bias=1
)


def leave(folder: Path, model: GPT2LMHeadModel, shape: Architecture) -> None:
    weights = {n: p.detach().numpy() for n, p in model.named_parameters()}
    save_file(weights, folder / "model.safetensors")
    with (folder / "architecture.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(shape.table())
        writer.writerows(zip(*shape.table().values(), strict=True))


@pytest.mark.parametrize("tied", [0, 1])
def test_the_model_of_a_trial_comes_back_with_the_same_logits(tmp_path: Path, tied: int) -> None:
    shape = SHAPE._replace(tied=tied)
    model = new_gpt2(shape, initial_std=0.2, seed=3).eval()
    torch.nn.init.normal_(model.lm_head.bias)
    leave(tmp_path, model, shape)
    found = open_model("run:abc/model", fetch_artifact=lambda run, path: tmp_path / path)
    ids = torch.arange(16)[None]
    with torch.no_grad():
        torch.testing.assert_close(found.model(ids).logits, model(ids).logits, rtol=0, atol=0)
    assert found.tied == bool(tied)
    assert found.context == 16
    assert found.input_embedding.weight.shape == (50, 8)


def test_weights_of_another_shape_are_refused_in_one_line(tmp_path: Path) -> None:
    leave(tmp_path, new_gpt2(SHAPE, initial_std=0.2, seed=3), SHAPE._replace(n_layers=2))
    with pytest.raises(TrialError, match=r"run:abc/model: run abc left no model that can be read"):
        open_model("run:abc/model", fetch_artifact=lambda run, path: tmp_path / path)


def test_a_trial_that_kept_no_model_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TrialError, match="keep_model: true"):
        open_model("run:abc/model", fetch_artifact=lambda run, path: tmp_path / path)


@pytest.mark.parametrize("text", ["file:rows.npy", "hub:gpt2#wpe.weight", "gpt2"])
def test_what_names_no_model_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"names no model|no embedding source"):
        check_model_uri(text)


def test_a_model_of_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TrialError, match="no such file"):
        open_model(f"gguf:{tmp_path / 'none.gguf'}")


def test_another_seed_gives_other_weights_and_the_global_generator_is_left_alone() -> None:
    state = torch.random.get_rng_state()
    first, again, other = (new_gpt2(SHAPE, initial_std=0.2, seed=s) for s in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), state)
    weights = [m.transformer.wte.weight.detach().numpy() for m in (first, again, other)]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])
