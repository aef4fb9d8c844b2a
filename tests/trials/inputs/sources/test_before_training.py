"""Rows that a training left as they were, and rows that are no tokens."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from tests.trials.inputs.sources.hub_server import HubServer
from trials.api import TrialError
from trials.inputs.rows import RowsConfig, load_rows, rows_digests
from trials.inputs.sources import source_digest


def test_rows_that_still_are_what_they_were_are_not_trained(
    server: HubServer, safetensors_bytes: Callable[..., bytes]
) -> None:
    rng = np.random.default_rng(0)
    first = rng.normal(size=(300, 16)).astype(np.float32)
    last = 0.9 * first
    last[30:] += rng.normal(size=(270, 16)).astype(np.float32)
    for step, rows in ((0, first), (400, last)):
        file = safetensors_bytes({"wte.weight": ("F32", rows)})
        server.add("own/m", {"config.json": b"{}", "model.safetensors": file}, f"step{step}")
    server.add("own/late", {"config.json": b"{}", "model.safetensors": file}, "step400")
    fields = {"tokens": "trained", "frequencies": "zipf"}
    chosen = RowsConfig.model_validate({"source": "hub:own/m@step400", **fields})
    data = load_rows(chosen)
    assert data.ids.tolist() == list(range(30, 300))
    assert "30 rows of the matrix are still what they were" in data.facts["tokens_trained"]
    assert rows_digests(chosen)["initial"] == source_digest("hub:own/m@step0")
    assert "initial" not in rows_digests(chosen.model_copy(update={"tokens": "all"}))
    without = RowsConfig.model_validate({"source": "hub:own/late@step400", **fields})
    assert "initial" not in rows_digests(without)
    with pytest.raises(TrialError, match="tokens: trained cannot be told: 0 rows are known"):
        load_rows(without)


def test_the_rows_of_positions_have_no_tokenizer(
    server: HubServer, safetensors_bytes: Callable[..., bytes]
) -> None:
    rng = np.random.default_rng(0)
    tensors = {name: ("F32", rng.normal(size=(40, 4))) for name in ("wte.weight", "wpe.weight")}
    tokenizer = Tokenizer(WordLevel({"a": 0}, unk_token="a")).to_str().encode()
    files = {"model.safetensors": safetensors_bytes(tensors), "tokenizer.json": tokenizer}
    server.add("own/m", files)
    data = load_rows(RowsConfig(source="hub:own/m#positions"))
    assert data.facts["tokens_reachable"] == "unknown: the source has no tokenizer"
    assert data.facts["frequencies"].startswith("Zipf")
