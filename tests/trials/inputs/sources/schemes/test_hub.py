"""The input embedding of a model on a hub, at a revision, without the rest of the model."""

from __future__ import annotations

import json
from collections.abc import Callable

import huggingface_hub.constants
import numpy as np
import pytest

from tests.trials.inputs.sources.hub_server import CONFIG, N_TENSOR_BYTES, HubServer
from trials.api import TrialError
from trials.inputs.rows import RowsConfig, load_rows, rows_digests
from trials.inputs.sources import open_source, source_digest


def test_only_the_bytes_of_the_embedding_are_fetched(
    model: HubServer, weights: bytes, rows: np.ndarray
) -> None:
    matrix = open_source("hub:own/model")
    assert np.array_equal(matrix.rows, rows)
    assert len(weights) > 100 * N_TENSOR_BYTES
    assert N_TENSOR_BYTES <= model.n_bytes < N_TENSOR_BYTES + 20_000
    assert matrix.facts["tensor"] == "transformer.wte.weight"
    assert matrix.facts["dtype"] == "F32"
    assert matrix.facts["tied"] == "no"


def test_the_second_opening_costs_no_bytes(model: HubServer, forget: Callable[[], None]) -> None:
    first = open_source("hub:own/model")
    n_bytes = model.n_bytes
    forget()
    second = open_source("hub:own/model")
    assert model.n_bytes == n_bytes
    assert np.array_equal(second.rows, first.rows)
    assert second._replace(rows=0, special=0, merge_rank=0) == first._replace(
        rows=0, special=0, merge_rank=0
    )


def test_the_digest_costs_no_weights_and_agrees_with_the_opened_source(model: HubServer) -> None:
    digest = source_digest("hub:own/model")
    assert model.n_weight_requests() == 0
    assert open_source("hub:own/model").digest == digest


def test_a_revision_is_another_source(
    server: HubServer, safetensors_bytes: Callable[..., bytes], rows: np.ndarray
) -> None:
    for step, factor in (("step0", 1), ("step3000", 2)):
        file = safetensors_bytes({"gpt_neox.embed_in.weight": ("F32", rows * factor)})
        commit = server.add("own/m", {"config.json": CONFIG, "model.safetensors": file}, step)
    first, second = open_source("hub:own/m@step0"), open_source("hub:own/m@step3000")
    assert np.array_equal(second.rows, 2 * first.rows)
    assert first.digest != second.digest
    assert second.facts["revision"] == "step3000"
    assert second.facts["commit"] == commit
    pinned = open_source(f"hub:own/m@{commit}")
    assert pinned.digest == second.digest
    assert pinned.facts["revision"] == commit


def test_a_revision_stays_at_its_commit_for_the_life_of_the_process(
    model: HubServer,
    safetensors_bytes: Callable[..., bytes],
    rows: np.ndarray,
    forget: Callable[[], None],
) -> None:
    before = source_digest("hub:own/model")
    file = safetensors_bytes({"wte.weight": ("F32", -rows)})
    model.add("own/model", {"config.json": CONFIG, "model.safetensors": file})
    assert source_digest("hub:own/model") == before
    forget()
    assert source_digest("hub:own/model") != before


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F64"])
def test_other_floating_types_become_float32(
    server: HubServer, safetensors_bytes: Callable[..., bytes], rows: np.ndarray, dtype: str
) -> None:
    stored = rows.view(np.uint32) >> 16 if dtype == "BF16" else rows
    file = safetensors_bytes({"wte.weight": (dtype, stored)})
    server.add("own/m", {"config.json": CONFIG, "model.safetensors": file})
    matrix = open_source("hub:own/m")
    assert matrix.rows.dtype == np.float32
    assert matrix.facts["dtype"] == dtype
    # The first rounds to 11 bits, the second cuts to 8, the third keeps all.
    error = {"F16": 2.0**-11, "BF16": 2.0**-7, "F64": 0.0}[dtype]
    assert np.all(np.abs(matrix.rows - rows) <= error * np.abs(rows) + (dtype == "F16") * 1e-7)


def test_of_a_sharded_model_only_the_shard_with_the_embedding_is_read(
    server: HubServer, safetensors_bytes: Callable[..., bytes], rows: np.ndarray
) -> None:
    body = ("F32", np.zeros((2_000, 100), np.float32))
    first = safetensors_bytes({"model.layers.0.w": body})
    second = safetensors_bytes(
        {"model.layers.1.w": body, "model.embed_tokens.weight": ("F32", rows)}
    )
    index = {
        "weight_map": {
            "model.layers.0.w": "model-00001-of-00002.safetensors",
            "model.layers.1.w": "model-00002-of-00002.safetensors",
            "model.embed_tokens.weight": "model-00002-of-00002.safetensors",
        }
    }
    files = {"model-00001-of-00002.safetensors": first, "model-00002-of-00002.safetensors": second}
    files |= {"config.json": CONFIG, "model.safetensors.index.json": json.dumps(index).encode()}
    server.add("own/large", files)
    assert np.array_equal(open_source("hub:own/large").rows, rows)
    assert not any("00001" in path for _, path, _ in server.requests)
    assert server.n_bytes < N_TENSOR_BYTES + 20_000


@pytest.mark.parametrize("branch", ["step{}", "checkpoint-{}"])
def test_the_null_before_training_is_the_first_checkpoint_of_the_hub(
    server: HubServer, safetensors_bytes: Callable[..., bytes], rows: np.ndarray, branch: str
) -> None:
    for n in (0, 400):
        file = safetensors_bytes({"wte.weight": ("F32", rows + n)})
        server.add("own/m", {"config.json": CONFIG, "model.safetensors": file}, branch.format(n))
    source = f"hub:own/m@{branch}"
    as_they_are = {"centre": "none", "scale": "none"}
    late = RowsConfig.model_validate({"source": source.format(400), **as_they_are})
    null = late.model_copy(update={"null": "initial"})
    assert np.array_equal(load_rows(late).rows, load_rows(null).rows + 400)
    assert set(rows_digests(null)) == {"source", "initial", "frequencies"}


def test_a_repository_without_config_can_still_be_read(server: HubServer, weights: bytes) -> None:
    server.add("own/bare", {"model.safetensors": weights})
    assert open_source("hub:own/bare").facts["tied"] == "yes"


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("hub:own/nothing", "no such model"),
        ("hub:own/model@step7", "the model has no revision 'step7'"),
        ("hub:own/gated", "the model is gated: accept its terms on"),
        ("hub:own/model#transformer.wte", "did you mean 'transformer.wte.weight'?"),
        ("hub:own/model#before", "an embedding is (n_vocab, d_model)"),
        ("hub:own/empty", "neither safetensors nor pytorch_model.bin"),
        ("hub:own/wrong", "not a safetensors file"),
        ("hub:own/astray", "model.safetensors.index.json does not name a file for each tensor"),
        ("hub:own/html", "config.json is not JSON"),
    ],
)
def test_what_a_user_can_mend_is_one_line(model: HubServer, uri: str, problem: str) -> None:
    model.gated.add("own/gated")
    model.add("own/empty", {"config.json": CONFIG})
    model.add("own/wrong", {"config.json": CONFIG, "model.safetensors": b"<html>" * 100})
    index = json.dumps({"weight_map": {"wte.weight": "../../secret"}}).encode()
    model.add("own/astray", {"config.json": CONFIG, "model.safetensors.index.json": index})
    model.add("own/html", {"config.json": b"<html>"})
    with pytest.raises(TrialError) as caught:
        open_source(uri)
    assert str(caught.value).startswith(f"{uri}: ")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_hub_that_cannot_be_reached_is_one_line(
    server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.stop()
    monkeypatch.setattr(server, "stop", lambda: None)
    for door in (open_source, source_digest):
        with pytest.raises(TrialError, match=f"no answer from {server.url}") as caught:
            door("hub:own/model")
        assert "\n" not in str(caught.value)


def test_offline_with_nothing_cached_says_what_to_do(
    model: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(TrialError, match=r"offline \(HF_HUB_OFFLINE\).*run once with a connection"):
        open_source("hub:own/model")
    assert model.requests == []


@pytest.mark.parametrize("how", ["HF_HUB_OFFLINE", "no server"])
def test_what_was_opened_once_opens_offline(
    model: HubServer, monkeypatch: pytest.MonkeyPatch, forget: Callable[[], None], how: str
) -> None:
    online = open_source("hub:own/model")
    forget()
    if how == "no server":
        model.stop()
        monkeypatch.setattr(model, "stop", lambda: None)
    else:
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert source_digest("hub:own/model") == online.digest
    assert np.array_equal(open_source("hub:own/model").rows, online.rows)


def test_a_whole_file_in_the_hubs_own_cache_is_used_instead_of_the_network(
    model: HubServer, rows: np.ndarray
) -> None:
    huggingface_hub.hf_hub_download("own/model", "model.safetensors", endpoint=model.url)
    n_requests = model.n_weight_requests()
    assert np.array_equal(open_source("hub:own/model").rows, rows)
    assert model.n_weight_requests() == n_requests
