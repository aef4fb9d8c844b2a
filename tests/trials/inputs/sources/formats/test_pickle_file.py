"""Models on a hub that have a pickle in place of safetensors files."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from tests.trials.inputs.sources.hub_server import CONFIG, HubServer
from trials.api import TrialError
from trials.inputs.sources import open_source


def test_a_model_with_only_a_pickle_is_read_as_plain_tensors(
    server: HubServer, rows: np.ndarray, tmp_path: Any
) -> None:
    torch.save(
        {"wte.weight": torch.from_numpy(rows).bfloat16(), "b": torch.ones(3)}, tmp_path / "w.bin"
    )
    files = {"config.json": CONFIG, "pytorch_model.bin": (tmp_path / "w.bin").read_bytes()}
    server.add("own/old", files)
    matrix = open_source("hub:own/old")
    assert np.allclose(matrix.rows, rows, rtol=2.0**-8)
    assert matrix.facts["dtype"] == "bfloat16"


@pytest.mark.parametrize(("shard_of_head", "tied"), [("1.bin", "no"), ("2.bin", "yes")])
def test_whether_a_sharded_pickle_is_tied_is_told_by_all_shards(
    server: HubServer, rows: np.ndarray, tmp_path: Any, shard_of_head: str, tied: str
) -> None:
    embedding = torch.from_numpy(rows)
    state = {"model.embed_tokens.weight": embedding}
    if shard_of_head == "2.bin":
        state["lm_head.weight"] = embedding
    torch.save(state, tmp_path / "2.bin")
    index = {"weight_map": {"model.embed_tokens.weight": "2.bin", "lm_head.weight": shard_of_head}}
    files = {"1.bin": b"", "2.bin": (tmp_path / "2.bin").read_bytes()}
    files |= {"pytorch_model.bin.index.json": json.dumps(index).encode()}
    server.add("own/old", files | {"config.json": b"{}"})
    assert open_source("hub:own/old").facts["tied"] == tied


class Payload:
    """Would write a file when unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return open, (self.path, "w")


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(
    server: HubServer, tmp_path: Any
) -> None:
    torch.save({"wte.weight": Payload(str(tmp_path / "pwned"))}, tmp_path / "w.bin")
    files = {"config.json": CONFIG, "pytorch_model.bin": (tmp_path / "w.bin").read_bytes()}
    server.add("own/evil", files)
    with pytest.raises(TrialError, match="not a plain file of tensors"):
        open_source("hub:own/evil")
    assert not (tmp_path / "pwned").exists()


def test_of_a_sharded_pickle_only_the_shard_with_the_embedding_is_fetched(
    server: HubServer, rows: np.ndarray, tmp_path: Any
) -> None:
    torch.save({"model.embed_tokens.weight": torch.from_numpy(rows)}, tmp_path / "2.bin")
    index = {"weight_map": {"w": "1.bin", "model.embed_tokens.weight": "2.bin"}}
    files = {"1.bin": bytes(10**6), "2.bin": (tmp_path / "2.bin").read_bytes()}
    files |= {"pytorch_model.bin.index.json": json.dumps(index).encode(), "config.json": CONFIG}
    server.add("own/old", files)
    assert np.array_equal(open_source("hub:own/old").rows, rows)
    assert server.n_bytes < 10**6


@pytest.mark.parametrize("is_tied", [True, False])
def test_a_pickle_that_names_one_matrix_twice_is_tied(
    server: HubServer, rows: np.ndarray, tmp_path: Any, is_tied: bool
) -> None:
    wte = torch.from_numpy(rows)
    head = wte if is_tied else wte.clone()
    torch.save({"transformer.wte.weight": wte, "lm_head.weight": head}, tmp_path / "w.bin")
    files = {"config.json": b"{}", "pytorch_model.bin": (tmp_path / "w.bin").read_bytes()}
    server.add("stanford-crfm/alias-gpt2-small-x21", files, "checkpoint-400")
    for tensor in ("", "#lm_head.weight"):
        uri = f"hub:stanford-crfm/alias-gpt2-small-x21@checkpoint-400{tensor}"
        assert open_source(uri).facts["tied"] == ("yes" if is_tied else "no")
