from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from trials.api import TrialError
from trials.inputs.rows import RowsConfig, load_rows, rows_digests
from trials.inputs.sources import hub_http, load_tokenizer, open_source, source_digest

N_VOCAB, D_MODEL = 300, 16
N_TENSOR_BYTES = N_VOCAB * D_MODEL * 4
CONFIG = json.dumps({"vocab_size": N_VOCAB, "tie_word_embeddings": False}).encode()


class Server(Protocol):
    """What these tests use of the hub in `conftest.py`."""

    url: str
    n_bytes: int
    requests: list[tuple[str, str, dict[str, str]]]
    faults: Any
    fault_headers: dict[str, str]
    gated: set[str]

    def redirect_weights(self, storage: Server) -> None: ...

    def add(self, repo: str, files: dict[str, bytes], revision: str = "main") -> str: ...

    def stop(self) -> None: ...


SafetensorsBytes = Callable[[dict[str, tuple[str, np.ndarray]]], bytes]


@pytest.fixture
def weights(safetensors_bytes: SafetensorsBytes, rows: np.ndarray) -> bytes:
    """A model whose body is a hundred times its embedding."""
    body = np.zeros((N_TENSOR_BYTES // 4 * 50,), np.float32)
    return safetensors_bytes(
        {
            "before": ("F32", body),
            "transformer.wte.weight": ("F32", rows),
            "after": ("F32", body),
        }
    )


@pytest.fixture
def model(server: Server, weights: bytes) -> Server:
    server.add("own/model", {"config.json": CONFIG, "model.safetensors": weights})
    return server


def n_weight_requests(server: Server) -> int:
    return sum(path.endswith((".safetensors", ".bin")) for _, path, _ in server.requests)


def test_only_the_bytes_of_the_embedding_are_fetched(
    model: Server, weights: bytes, rows: np.ndarray
) -> None:
    matrix = open_source("hub:own/model")
    assert np.array_equal(matrix.rows, rows)
    assert len(weights) > 100 * N_TENSOR_BYTES
    assert N_TENSOR_BYTES <= model.n_bytes < N_TENSOR_BYTES + 20_000
    assert matrix.facts["tensor"] == "transformer.wte.weight"
    assert matrix.facts["dtype"] == "F32"
    assert matrix.facts["tied"] == "no"


def test_the_second_opening_costs_no_bytes(model: Server, forget: Callable[[], None]) -> None:
    first = open_source("hub:own/model")
    n_bytes = model.n_bytes
    forget()
    second = open_source("hub:own/model")
    assert model.n_bytes == n_bytes
    assert np.array_equal(second.rows, first.rows)
    assert second._replace(rows=0, special=0, merge_rank=0) == first._replace(
        rows=0, special=0, merge_rank=0
    )


def test_the_digest_costs_no_weights_and_agrees_with_the_opened_source(model: Server) -> None:
    digest = source_digest("hub:own/model")
    assert n_weight_requests(model) == 0
    assert open_source("hub:own/model").digest == digest


def test_a_revision_is_another_source(
    server: Server, safetensors_bytes: SafetensorsBytes, rows: np.ndarray
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
    model: Server,
    safetensors_bytes: SafetensorsBytes,
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
    server: Server, safetensors_bytes: SafetensorsBytes, rows: np.ndarray, dtype: str
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
    server: Server, safetensors_bytes: SafetensorsBytes, rows: np.ndarray
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


def test_a_model_with_only_a_pickle_is_read_as_plain_tensors(
    server: Server, rows: np.ndarray, tmp_path: Any
) -> None:
    torch.save(
        {"wte.weight": torch.from_numpy(rows).bfloat16(), "b": torch.ones(3)}, tmp_path / "w.bin"
    )
    files = {"config.json": CONFIG, "pytorch_model.bin": (tmp_path / "w.bin").read_bytes()}
    server.add("own/old", files)
    matrix = open_source("hub:own/old")
    assert np.allclose(matrix.rows, rows, rtol=2.0**-8)
    assert matrix.facts["dtype"] == "bfloat16"


class Payload:
    """Would write a file when unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return open, (self.path, "w")


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(
    server: Server, tmp_path: Any
) -> None:
    torch.save({"wte.weight": Payload(str(tmp_path / "pwned"))}, tmp_path / "w.bin")
    files = {"config.json": CONFIG, "pytorch_model.bin": (tmp_path / "w.bin").read_bytes()}
    server.add("own/evil", files)
    with pytest.raises(TrialError, match="not a plain file of tensors"):
        open_source("hub:own/evil")
    assert not (tmp_path / "pwned").exists()


def test_of_a_sharded_pickle_only_the_shard_with_the_embedding_is_fetched(
    server: Server, rows: np.ndarray, tmp_path: Any
) -> None:
    torch.save({"model.embed_tokens.weight": torch.from_numpy(rows)}, tmp_path / "2.bin")
    index = {"weight_map": {"w": "1.bin", "model.embed_tokens.weight": "2.bin"}}
    files = {"1.bin": bytes(10**6), "2.bin": (tmp_path / "2.bin").read_bytes()}
    files |= {"pytorch_model.bin.index.json": json.dumps(index).encode(), "config.json": CONFIG}
    server.add("own/old", files)
    assert np.array_equal(open_source("hub:own/old").rows, rows)
    assert server.n_bytes < 10**6


def test_the_models_tokenizer_names_the_rows_and_padding_is_special(
    server: Server, weights: bytes
) -> None:
    tokenizer = Tokenizer(WordLevel({"a": 0, "b": 1, "<s>": 2}, unk_token="a"))
    tokenizer.add_special_tokens(["<s>"])
    files = {"model.safetensors": weights, "tokenizer.json": tokenizer.to_str().encode()}
    server.add("own/m", {"config.json": CONFIG, **files})
    matrix = open_source("hub:own/m")
    assert matrix.tokens[:3] == ("a", "b", "<s>")
    assert np.flatnonzero(~matrix.special).tolist() == [0, 1]
    assert load_tokenizer("hub:own/m").encode("b").ids == [1]


def test_a_model_without_tokenizer_file_has_numbered_rows_and_no_tokenizer(model: Server) -> None:
    assert open_source("hub:own/model").tokens[:2] == ("#0", "#1")
    with pytest.raises(TrialError, match=r"has no tokenizer\.json"):
        load_tokenizer("hub:own/model")


def a_tokenizer(*tokens: str) -> bytes:
    """A `tokenizer.json` of some tokens and the special one <s>."""
    names = {token: row for row, token in enumerate((*tokens, "<s>"))}
    tokenizer = Tokenizer(WordLevel(names, unk_token=tokens[0]))
    tokenizer.add_special_tokens(["<s>"])
    return bytes(tokenizer.to_str(), "utf-8")


@pytest.mark.parametrize("branch", ["step{}", "checkpoint-{}"])
def test_a_checkpoint_without_a_tokenizer_has_the_names_and_padding_of_main(
    server: Server, safetensors_bytes: SafetensorsBytes, rows: np.ndarray, branch: str
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
    server: Server, weights: bytes, forget: Callable[[], None]
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
    server: Server, weights: bytes, monkeypatch: pytest.MonkeyPatch, forget: Any, how: str
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


@pytest.mark.parametrize("branch", ["step{}", "checkpoint-{}"])
def test_the_null_before_training_is_the_first_checkpoint_of_the_hub(
    server: Server, safetensors_bytes: SafetensorsBytes, rows: np.ndarray, branch: str
) -> None:
    for n in (0, 400):
        file = safetensors_bytes({"wte.weight": ("F32", rows + n)})
        server.add("own/m", {"config.json": CONFIG, "model.safetensors": file}, branch.format(n))
    source = f"hub:own/m@{branch}"
    as_they_are = {"centre": "none", "scale": "none"}
    late = RowsConfig.model_validate({"source": source.format(400), **as_they_are})
    null = late.model_copy(update={"null": "initial"})
    assert np.array_equal(load_rows(late).rows, load_rows(null).rows + 400)
    assert set(rows_digests(null)) == {"source", "initial"}


@pytest.mark.parametrize("is_tied", [True, False])
def test_a_pickle_that_names_one_matrix_twice_is_tied(
    server: Server, rows: np.ndarray, tmp_path: Any, is_tied: bool
) -> None:
    wte = torch.from_numpy(rows)
    head = wte if is_tied else wte.clone()
    torch.save({"transformer.wte.weight": wte, "lm_head.weight": head}, tmp_path / "w.bin")
    files = {"config.json": b"{}", "pytorch_model.bin": (tmp_path / "w.bin").read_bytes()}
    server.add("stanford-crfm/alias-gpt2-small-x21", files, "checkpoint-400")
    for tensor in ("", "#lm_head.weight"):
        uri = f"hub:stanford-crfm/alias-gpt2-small-x21@checkpoint-400{tensor}"
        assert open_source(uri).facts["tied"] == ("yes" if is_tied else "no")


def test_a_repository_without_config_can_still_be_read(server: Server, weights: bytes) -> None:
    server.add("own/bare", {"model.safetensors": weights})
    assert open_source("hub:own/bare").facts["tied"] == "yes"


@pytest.mark.parametrize(
    "faults",
    [
        [429],
        [503, 503],
        [500, 502, 504, 408],
        [None, "truncate"],
        [None, None, "truncate", "truncate", 503],
        ["ignore range", "ignore range", "ignore range"],
        [None, "ignore range", "truncate", "ignore range"],
    ],
)
def test_a_hub_that_is_busy_or_breaks_off_costs_no_wrong_byte(
    model: Server, rows: np.ndarray, faults: list[int | str]
) -> None:
    model.faults.extend(faults)
    assert np.array_equal(open_source("hub:own/model").rows, rows)
    assert not model.faults


def test_a_transfer_that_broke_off_goes_on_where_it_broke(model: Server) -> None:
    model.faults.extend([None, None, "truncate"])
    open_source("hub:own/model")
    assert model.n_bytes < N_TENSOR_BYTES + 20_000


def test_a_hub_that_stays_busy_is_given_up_with_one_line(model: Server) -> None:
    model.faults.extend([503] * 50)
    with pytest.raises(TrialError, match="answered 503; try again later"):
        open_source("hub:own/model")
    assert n_weight_requests(model) == 5


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_one_line_and_is_not_tried_again(model: Server, status: int) -> None:
    model.faults.append(status)
    with pytest.raises(TrialError, match=rf"refused access \({status}\).*HF_TOKEN"):
        open_source("hub:own/model")
    assert n_weight_requests(model) == 1


def test_waits_double_or_follow_retry_after_and_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub_http, "_LONGEST_WAIT_S", 60.0)
    assert [hub_http.wait_s(n, "") for n in (1, 2, 3)] == [0.5, 1.0, 2.0]
    assert hub_http.wait_s(1, "7") == 7.0
    assert hub_http.wait_s(1, "86400") == 60.0
    assert hub_http.wait_s(1, "Wed, 21 Oct 2026 07:28:00 GMT") == 0.5


def test_the_wait_that_a_busy_hub_asks_for_is_kept(
    model: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def wait_s(n_tried: int, after: str) -> float:
        asked.append(after)
        return 0.0

    monkeypatch.setattr(hub_http, "wait_s", wait_s)
    model.faults.append(429)
    model.fault_headers = {"Retry-After": "3"}
    open_source("hub:own/model")
    assert asked == ["3"]


def test_the_token_goes_to_the_hub_and_not_to_the_host_it_redirects_to(
    model: Server,
    storage: Server,
    monkeypatch: pytest.MonkeyPatch,
    rows: np.ndarray,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    model.redirect_weights(storage)
    assert np.array_equal(open_source("hub:own/model").rows, rows)
    assert {headers.get("authorization") for *_, headers in model.requests} == {"Bearer hf_secret"}
    assert n_weight_requests(storage) == 2
    assert {headers.get("authorization") for *_, headers in storage.requests} == {None}


def test_without_a_token_none_is_sent(model: Server) -> None:
    open_source("hub:own/model")
    assert not any("authorization" in headers for *_, headers in model.requests)


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
def test_what_a_user_can_mend_is_one_line(model: Server, uri: str, problem: str) -> None:
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
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.stop()
    monkeypatch.setattr(server, "stop", lambda: None)
    for door in (open_source, source_digest):
        with pytest.raises(TrialError, match=f"no answer from {server.url}") as caught:
            door("hub:own/model")
        assert "\n" not in str(caught.value)


def test_offline_with_nothing_cached_says_what_to_do(
    model: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(TrialError, match=r"offline \(HF_HUB_OFFLINE\).*run once with a connection"):
        open_source("hub:own/model")
    assert model.requests == []


@pytest.mark.parametrize("how", ["HF_HUB_OFFLINE", "no server"])
def test_what_was_opened_once_opens_offline(
    model: Server, monkeypatch: pytest.MonkeyPatch, forget: Callable[[], None], how: str
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
    model: Server, rows: np.ndarray
) -> None:
    huggingface_hub.hf_hub_download("own/model", "model.safetensors", endpoint=model.url)
    n_requests = n_weight_requests(model)
    assert np.array_equal(open_source("hub:own/model").rows, rows)
    assert n_weight_requests(model) == n_requests
