"""Whose tokenizer names the rows of a model on a hub."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import huggingface_hub.constants
import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from tests.trials.inputs.sources.hub_server import CONFIG, HubServer
from trials.api import TrialError
from trials.inputs.sources import load_tokenizer, open_source, source_digest


def a_tokenizer(*tokens: str) -> bytes:
    """A `tokenizer.json` of some tokens and the special one <s>."""
    names = {token: row for row, token in enumerate((*tokens, "<s>"))}
    tokenizer = Tokenizer(WordLevel(names, unk_token=tokens[0]))
    tokenizer.add_special_tokens(["<s>"])
    return bytes(tokenizer.to_str(), "utf-8")


def test_the_models_tokenizer_names_the_rows_and_padding_is_special(
    server: HubServer, weights: bytes
) -> None:
    tokenizer = Tokenizer(WordLevel({"a": 0, "b": 1, "<s>": 2}, unk_token="a"))
    tokenizer.add_special_tokens(["<s>"])
    files = {"model.safetensors": weights, "tokenizer.json": tokenizer.to_str().encode()}
    server.add("own/m", {"config.json": CONFIG, **files})
    matrix = open_source("hub:own/m")
    assert matrix.tokens[:3] == ("a", "b", "<s>")
    assert np.flatnonzero(~matrix.special).tolist() == [0, 1]
    assert load_tokenizer("hub:own/m").encode("b").ids == [1]


def test_a_model_without_tokenizer_file_has_numbered_rows_and_no_tokenizer(
    model: HubServer,
) -> None:
    assert open_source("hub:own/model").tokens[:2] == ("#0", "#1")
    with pytest.raises(TrialError, match=r"has no tokenizer\.json"):
        load_tokenizer("hub:own/model")


@pytest.mark.parametrize("branch", ["step{}", "checkpoint-{}"])
def test_a_checkpoint_without_a_tokenizer_has_the_names_and_padding_of_main(
    server: HubServer, safetensors_bytes: Callable[..., bytes], rows: np.ndarray, branch: str
) -> None:
    for n in (10, 400):
        file = safetensors_bytes({"wte.weight": ("F32", rows * n)})
        server.add("own/m", {"config.json": CONFIG, "model.safetensors": file}, branch.format(n))
    server.add("own/m", {"config.json": CONFIG, "tokenizer.json": a_tokenizer("a", "b")})
    first, second = (open_source(f"hub:own/m@{branch.format(n)}") for n in (10, 400))
    for matrix in (first, second):
        assert matrix.tokens[:3] == ("a", "b", "<s>")
        assert np.flatnonzero(~matrix.special).tolist() == [0, 1]
        assert source_digest(matrix.uri) == matrix.digest
    assert first.digest != second.digest
    assert np.allclose(second.rows, 40 * first.rows, rtol=1e-6)
    assert load_tokenizer(second.uri).encode("b").ids == [1]


def test_the_tokenizer_of_main_is_part_of_the_digest_only_where_it_is_used(
    server: HubServer, weights: bytes, forget: Callable[[], None]
) -> None:
    bare = {"config.json": CONFIG, "model.safetensors": weights}
    server.add("own/m", bare, "step1")
    server.add("own/m", bare | {"tokenizer.json": a_tokenizer("c", "d")}, "step2")
    digests = []
    for tokens in (("a", "b"), ("b", "a")):
        server.add("own/m", {"config.json": CONFIG, "tokenizer.json": a_tokenizer(*tokens)})
        forget()
        digests.append([source_digest(f"hub:own/m@step{n}") for n in (1, 2)])
        assert open_source("hub:own/m@step1").tokens[:2] == tokens
        assert open_source("hub:own/m@step2").tokens[:2] == ("c", "d")
    assert digests[0][0] != digests[1][0]
    assert digests[0][1] == digests[1][1]


@pytest.mark.parametrize("how", ["HF_HUB_OFFLINE", "no server"])
def test_a_checkpoint_with_the_tokenizer_of_main_opens_offline(
    server: HubServer, weights: bytes, monkeypatch: pytest.MonkeyPatch, forget: Any, how: str
) -> None:
    server.add("own/m", {"config.json": CONFIG, "model.safetensors": weights}, "step1")
    server.add("own/m", {"config.json": CONFIG, "tokenizer.json": a_tokenizer("a", "b")})
    online = open_source("hub:own/m@step1")
    forget()
    if how == "no server":
        server.stop()
        monkeypatch.setattr(server, "stop", lambda: None)
    else:
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert source_digest("hub:own/m@step1") == online.digest
    assert open_source("hub:own/m@step1").tokens == online.tokens
