"""Mirrors, proxies and storage that behave oddly: the matrix all the same, or whose fault it is."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable

import numpy as np
import pytest
import torch

from tests.trials.inputs.sources.hub_server import (
    CONFIG,
    N_TENSOR_BYTES,
    HubServer,
    SparseFile,
)
from trials.api import TrialError
from trials.inputs.sources import open_source, source_digest

COMMIT = "0123456789abcdef" * 2 + "01234567"


def pickled(rows: np.ndarray, **how: bool) -> bytes:
    """A model whose body is fifty times its embedding."""
    body = torch.zeros(rows.size * 50)
    buffer = io.BytesIO()
    torch.save({"h.0.w": body, "wte.weight": torch.from_numpy(rows)}, buffer, **how)
    return buffer.getvalue()


@pytest.fixture
def old_model(server: HubServer, rows: np.ndarray) -> HubServer:
    """A model with only a pickle."""
    server.add("own/old", {"config.json": CONFIG, "pytorch_model.bin": pickled(rows)})
    return server


def problem_with(uri: str) -> str:
    with pytest.raises(TrialError) as caught:
        open_source(uri)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_pickle_costs_the_bytes_of_its_matrix(
    old_model: HubServer, rows: np.ndarray, forget: Callable[[], None]
) -> None:
    matrix = open_source("hub:own/old")
    assert np.array_equal(matrix.rows, rows)
    assert matrix.facts["tensor"] == "wte.weight"
    assert N_TENSOR_BYTES <= old_model.n_bytes < N_TENSOR_BYTES + 120_000
    n_bytes = old_model.n_bytes
    forget()
    open_source("hub:own/old")
    assert old_model.n_bytes == n_bytes


def test_of_a_pickle_in_shards_one_matrix_of_one_shard_is_read(
    server: HubServer, rows: np.ndarray
) -> None:
    """The name `output` is looked up in the index, which knows the tensors of all shards."""
    head = pickled(rows + 1).replace(b"wte.weight", b"lmh.weight")
    weight_map = {"wte.weight": "a.bin", "output.weight": "b.bin", "h.0.w": "b.bin"}
    buffer = io.BytesIO()
    torch.save({"output.weight": torch.from_numpy(rows + 1), "h.0.w": torch.zeros(10**6)}, buffer)
    index = json.dumps({"weight_map": weight_map}).encode()
    files = {"a.bin": head, "b.bin": buffer.getvalue(), "pytorch_model.bin.index.json": index}
    server.add("own/shards", files)
    matrix = open_source("hub:own/shards#output")
    assert np.array_equal(matrix.rows, rows + 1)
    assert matrix.facts["tied"] == "no"
    assert not any("a.bin" in path for _, path, _ in server.requests)
    assert server.n_bytes < N_TENSOR_BYTES + 120_000
    with pytest.raises(TrialError, match=r"index names a\.bin for 'wte\.weight', wrongly"):
        open_source("hub:own/shards")


@pytest.mark.parametrize("oddity", ["old format", "ignore range"])
def test_where_the_matrix_alone_cannot_be_read_the_whole_file_is_and_that_is_said(
    old_model: HubServer, rows: np.ndarray, oddity: str, caplog: pytest.LogCaptureFixture
) -> None:
    if oddity == "old format":
        content = pickled(rows, _use_new_zipfile_serialization=False)
        old_model.add("own/old", {"config.json": CONFIG, "pytorch_model.bin": content})
    else:
        old_model.always = "ignore range"
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(open_source("hub:own/old").rows, rows)
    said = {"old format": "torch's old format", "ignore range": "ignores byte ranges"}[oddity]
    assert f"{said}, so all of its 1 MB are downloaded" in caplog.text
    n_gets = sum(command == "GET" and ".bin" in path for command, path, _ in old_model.requests)
    assert n_gets <= 3  # two of which are broken off


def test_a_proxy_that_ignores_ranges_costs_safetensors_one_download_up_to_the_matrix(
    model: HubServer, weights: bytes, rows: np.ndarray
) -> None:
    model.always = "ignore range"
    assert np.array_equal(open_source("hub:own/model").rows, rows)
    assert model.n_bytes < 3 * len(weights)


@pytest.mark.parametrize("uri", ["hub:own/old", "hub:own/model"])
def test_a_connection_that_is_cut_at_each_kilobyte_goes_on_where_it_was_cut(
    model: HubServer, old_model: HubServer, rows: np.ndarray, uri: str
) -> None:
    model.always = "kilobyte"
    assert np.array_equal(open_source(uri).rows, rows)
    assert model.n_bytes < N_TENSOR_BYTES + 200_000


def test_a_connection_that_never_gets_further_is_given_up(model: HubServer) -> None:
    model.always = "nothing"
    assert f"the connection to {model.url} breaks off" in problem_with("hub:own/model")


def test_a_transfer_that_breaks_a_thousand_times_blames_the_connection(
    model: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trials.inputs.sources.schemes.http_ranges._N_RESUMED", 3)
    model.always = "kilobyte"
    assert f"the connection to {model.url} broke 3 times by byte" in problem_with("hub:own/model")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_weights_behind_any_redirect_are_read(
    model: HubServer,
    old_model: HubServer,
    storage: HubServer,
    rows: np.ndarray,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    model.redirect_weights(storage)
    model.redirect_status = status
    for uri in ("hub:own/model", "hub:own/old"):
        assert np.array_equal(open_source(uri).rows, rows)
    assert {headers.get("authorization") for *_, headers in storage.requests} == {None}


@pytest.mark.parametrize("status", [302, 307, 308])
def test_a_mirror_that_redirects_everything_is_followed_without_the_token(
    model: HubServer,
    storage: HubServer,
    rows: np.ndarray,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`storage` is the mirror; the hub behind it has the model."""
    monkeypatch.setenv("HF_ENDPOINT", storage.url)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    storage.mirror_of, storage.redirect_status = model, status
    matrix = open_source("hub:own/model")
    assert np.array_equal(matrix.rows, rows)
    assert matrix.facts["commit"] == model.commits["own/model", "main"]
    assert {headers.get("authorization") for *_, headers in model.requests} == {None}


@pytest.mark.parametrize("uri", ["hub:own/old", "hub:own/model"])
def test_a_link_that_expires_in_the_middle_of_a_range_is_renewed(
    model: HubServer, old_model: HubServer, storage: HubServer, rows: np.ndarray, uri: str
) -> None:
    model.redirect_weights(storage)
    storage.link_uses = 1
    storage.faults.extend([None, "truncate", "truncate", 403, "truncate"])
    assert np.array_equal(open_source(uri).rows, rows)
    assert not storage.faults


def test_a_hub_that_gives_an_expired_link_is_told_from_storage_and_from_the_token(
    model: HubServer, storage: HubServer
) -> None:
    model.redirect_weights(storage)
    model.stale_links, storage.link_uses = True, 1
    model.n_links = 1
    problem = problem_with("hub:own/model")
    assert f"{model.url} sends the download to {storage.url}, which answered 403" in problem
    assert "its link has expired" in problem
    assert "HF_TOKEN" not in problem


def test_storage_that_cannot_be_reached_is_named(model: HubServer, storage: HubServer) -> None:
    model.redirect_weights(storage)
    stop, storage.stop = storage.stop, lambda: None  # type: ignore[method-assign]
    stop()
    assert f"no answer from {storage.url}" in problem_with("hub:own/model")


def test_a_server_without_commits_is_told_from_a_broken_connection(model: HubServer) -> None:
    model.names_commits = False
    problem = problem_with("hub:own/model")
    assert f"{model.url} does not say which commit 'main' is (no X-Repo-Commit" in problem
    assert "name the commit" in problem
    assert "no answer" not in problem


@pytest.mark.parametrize("uri", ["hub:own/old", "hub:own/model"])
def test_a_server_without_commits_serves_a_commit_that_is_named(
    model: HubServer,
    old_model: HubServer,
    rows: np.ndarray,
    uri: str,
    forget: Callable[[], None],
) -> None:
    repo = uri.removeprefix("hub:")
    model.commits[repo, COMMIT] = model.commits[repo, "main"]
    model.names_commits = False
    matrix = open_source(f"{uri}@{COMMIT}")
    assert np.array_equal(matrix.rows, rows)
    assert matrix.facts["commit"] == COMMIT
    assert matrix.facts["tied"] == "no"  # the config was read too
    n_bytes = model.n_bytes
    forget()
    assert source_digest(f"{uri}@{COMMIT}") == matrix.digest
    assert model.n_bytes == n_bytes


@pytest.mark.parametrize(
    ("oddity", "problem"),
    [
        ("other range", "sends another range than the one asked for: check the proxy or mirror"),
        ("other file", "sends a file of 27 bytes in place of one of"),
    ],
)
@pytest.mark.parametrize("uri", ["hub:own/old", "hub:own/model"])
def test_a_proxy_that_sends_something_else_is_blamed(
    model: HubServer, old_model: HubServer, uri: str, oddity: str, problem: str
) -> None:
    model.always = oddity
    said = problem_with(uri)
    assert problem in said
    assert model.url in said
    assert "no answer" not in said


def test_a_hub_that_limits_requests_says_so(model: HubServer) -> None:
    model.always = 429
    model.fault_headers = {"Retry-After": "Fri, 01 Jan 2100 00:00:00 GMT"}
    assert "answered 429: too many requests; try again later, or set HF_TOKEN" in problem_with(
        "hub:own/model"
    )


def test_a_vocabulary_of_256000_tokens_in_a_file_of_eight_gigabytes_costs_its_own_bytes(
    server: HubServer,
) -> None:
    """The server makes the other bytes up when they are asked for."""
    matrix = np.random.default_rng(0).normal(size=(256_000, 4)).astype(np.float16)
    n_body = 8 << 30
    spans = {"h.0.w": ("U8", [n_body], 0), "wte.weight": ("F16", matrix.shape, n_body)}
    ends = {"h.0.w": n_body, "wte.weight": n_body + matrix.nbytes}
    header = {
        name: {"dtype": dtype, "shape": list(shape), "data_offsets": [start, ends[name]]}
        for name, (dtype, shape, start) in spans.items()
    }
    text = json.dumps(header).encode()
    first = len(text).to_bytes(8, "little") + text
    start = len(first) + n_body
    file = SparseFile(start + matrix.nbytes, {0: first, start: matrix.tobytes()})
    server.add("own/huge", {"config.json": CONFIG, "model.safetensors": file})
    found = open_source("hub:own/huge")
    assert np.array_equal(found.rows, matrix.astype(np.float32))
    assert len(found.tokens) == 256_000
    assert server.n_bytes < matrix.nbytes + 20_000
