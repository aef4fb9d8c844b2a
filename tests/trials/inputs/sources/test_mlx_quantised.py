"""Models that MLX has quantised, by its own description of the packing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.trials.inputs.sources.hub_server import HubServer
from trials.api import TrialError
from trials.inputs.sources import open_source, source_digest
from trials.inputs.sources.precision import rounded

N_VOCAB, D_MODEL = 50, 128


def quantised(
    rows: np.ndarray, bits: int, group_size: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The tensors of a quantised matrix, and the numbers that they stand for."""
    groups = rows.reshape(len(rows), -1, group_size)
    low, high = groups.min(axis=2), groups.max(axis=2)
    scales = ((high - low) / (2**bits - 1)).astype(np.float16).astype(np.float32)
    biases = low.astype(np.float16).astype(np.float32)
    small = np.rint((groups - biases[..., None]) / scales[..., None])
    small = np.clip(small, 0, 2**bits - 1)
    values = (small * scales[..., None] + biases[..., None]).reshape(rows.shape)
    per_word = 32 // bits
    words = np.zeros((len(rows), rows.shape[1] // per_word), np.uint32)
    for column, number in enumerate(small.reshape(rows.shape).astype(np.uint32).T):
        words[:, column // per_word] |= number << (bits * (column % per_word))
    tensors = {
        "weight": words,
        "scales": scales.astype(np.float16),
        "biases": biases.astype(np.float16),
    }
    return {f"model.embed_tokens.{name}": array for name, array in tensors.items()}, values


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(N_VOCAB, D_MODEL)).astype(np.float32)


def write(folder: Path, tensors: dict[str, np.ndarray], **quantization: Any) -> str:
    save_file(tensors, folder / "model.safetensors")
    config = {"tie_word_embeddings": True, "quantization": quantization}
    (folder / "config.json").write_text(json.dumps(config))
    return f"dir:{folder}"


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("group_size", [32, 64])
def test_a_quantised_matrix_is_the_numbers_that_it_stands_for(
    tmp_path: Path, rows: np.ndarray, bits: int, group_size: int
) -> None:
    tensors, values = quantised(rows, bits, group_size)
    matrix = open_source(write(tmp_path, tensors, bits=bits, group_size=group_size))
    np.testing.assert_allclose(matrix.rows, values, rtol=1e-6, atol=1e-7)
    assert matrix.facts["dtype"] == f"MLX_Q{bits}_{group_size}"
    assert matrix.facts["tied"] == "yes"
    step = np.ptp(rows.reshape(N_VOCAB, -1, group_size), axis=2).max() / (2**bits - 1)
    assert np.abs(matrix.rows - rows).max() < 0.6 * step + 0.01
    # The positive control rounds planted rows as the source is rounded.
    np.testing.assert_allclose(rounded(rows, matrix.facts["dtype"]), values, atol=1e-5)


def test_a_layer_may_be_packed_in_a_way_of_its_own(tmp_path: Path, rows: np.ndarray) -> None:
    tensors, values = quantised(rows, 8, 32)
    tensors["layer.weight"] = np.zeros((2, 3), np.uint32)
    tensors["layer.scales"] = tensors["layer.biases"] = np.zeros((2, 1), np.float16)
    own = {"model.embed_tokens": {"bits": 8, "group_size": 32}}
    matrix = open_source(write(tmp_path, tensors, bits=3, group_size=32, **own))
    np.testing.assert_allclose(matrix.rows, values, rtol=1e-6, atol=1e-7)


def test_a_quantised_model_on_a_hub_is_read_by_its_config(
    server: HubServer, safetensors_bytes: Callable[..., bytes], rows: np.ndarray, tmp_path: Path
) -> None:
    tensors, values = quantised(rows, 4, 64)
    write(tmp_path, tensors, bits=4, group_size=64)
    files = {name: (tmp_path / name).read_bytes() for name in ("model.safetensors", "config.json")}
    server.add("own/mlx", files)
    np.testing.assert_allclose(open_source("hub:own/mlx").rows, values, rtol=1e-6, atol=1e-7)


def test_how_it_is_packed_is_part_of_the_digest(tmp_path: Path, rows: np.ndarray) -> None:
    tensors, _ = quantised(rows, 4, 64)
    before = source_digest(write(tmp_path, tensors, bits=4, group_size=64))
    tensors, _ = quantised(rows[:, :64], 8, 32)
    assert source_digest(write(tmp_path, tensors, bits=8, group_size=32)) != before


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ({"bits": 3, "group_size": 64}, "in a way that is not read (bits 3, group_size 64"),
        ({"bits": 4, "group_size": 64, "mode": "mxfp4"}, "mode mxfp4); allowed: affine"),
        ({"bits": 4}, "in a way that is not read (bits 4, group_size None"),
        ({"bits": 4, "group_size": 0}, "no matrix of 4-bit numbers in groups of 0"),
        ({"bits": 8, "group_size": 64}, "no matrix of 8-bit numbers in groups of 64"),
        ({"bits": 4, "group_size": 7}, "no matrix of 4-bit numbers in groups of 7"),
    ],
)
def test_what_does_not_fit_the_config_is_one_line(
    tmp_path: Path, rows: np.ndarray, how: dict[str, Any], problem: str
) -> None:
    tensors, _ = quantised(rows, 4, 64)
    uri = write(tmp_path, tensors, **how)
    for door in (source_digest, open_source):
        with pytest.raises(TrialError) as caught:
            door(uri)
        assert problem in str(caught.value)


def test_without_a_config_the_folder_is_asked_for(tmp_path: Path, rows: np.ndarray) -> None:
    tensors, _ = quantised(rows, 4, 64)
    write(tmp_path, tensors, bits=4, group_size=64)
    with pytest.raises(TrialError, match=r"quantised by MLX, and no config\.json.*with dir:"):
        open_source(f"file:{tmp_path}/model.safetensors")


def test_whole_numbers_that_are_no_quantised_matrix_are_refused(tmp_path: Path) -> None:
    save_file({"wte.weight": np.ones((4, 4), np.uint32)}, tmp_path / "m.safetensors")
    with pytest.raises(TrialError, match="dtype U32 is not read"):
        open_source(f"file:{tmp_path}/m.safetensors")
