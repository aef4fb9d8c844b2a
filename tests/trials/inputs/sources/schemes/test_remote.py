"""Matrices in files on web servers and in object stores, read by their own bytes."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from fsspec.spec import AbstractFileSystem
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from tests.trials.inputs.sources.hub_server import N_TENSOR_BYTES, HubServer
from tests.trials.inputs.sources.schemes.test_odd_servers import pickled
from trials.api import TrialError
from trials.inputs.sources import NoTokenizer, load_tokenizer, open_source, source_digest
from trials.inputs.sources.schemes import remote

TOKENIZER = Tokenizer(WordLevel({"a": 0, "b": 1}, unk_token="a")).to_str().encode()


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """Forget what this process learnt about versions of files."""
    yield
    remote._opened.cache_clear()
    remote._opened_or_none.cache_clear()


@pytest.fixture
def files(weights: bytes, rows: np.ndarray) -> dict[str, bytes]:
    archive = io.BytesIO()
    np.savez(archive, body=np.zeros(rows.size * 50, np.float32), W_E=rows)
    return {
        "model.safetensors": weights,
        "pytorch_model.bin": pickled(rows),
        "weights.npz": archive.getvalue(),
        "tokenizer.json": TOKENIZER,
    }


@pytest.fixture
def site(server: HubServer, files: dict[str, bytes]) -> str:
    """Address of a folder on a web server; of the hub only its routes are used."""
    server.add("own/m", files)
    server.names_commits = False
    return f"{server.url}/own/m/resolve/main"


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "weights.npz"])
def test_a_file_on_a_web_server_costs_the_bytes_of_its_matrix(
    server: HubServer,
    site: str,
    rows: np.ndarray,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    matrix = open_source(f"{site}/{name}")
    assert np.array_equal(matrix.rows, rows)
    assert matrix.tokens[:3] == ("a", "b", "<padding 2>")
    assert N_TENSOR_BYTES <= server.n_bytes < N_TENSOR_BYTES + 200_000
    assert not any("authorization" in headers for *_, headers in server.requests)
    assert matrix.digest == source_digest(f"{site}/{name}")
    n_requests = len(server.requests)
    open_source(f"{site}/{name}")
    assert len(server.requests) == n_requests
    assert load_tokenizer(f"{site}/{name}").get_vocab_size() == 2


def test_a_tensor_is_named_after_the_address_and_its_query(site: str, rows: np.ndarray) -> None:
    uri = f"{site}/pytorch_model.bin?link=1#wte.weight"
    assert np.array_equal(open_source(uri).rows, rows)
    with pytest.raises(TrialError, match=r"did you mean 'wte\.weight'"):
        open_source(f"{site}/pytorch_model.bin#wte.wieght")


def test_a_file_that_changes_has_another_digest(
    server: HubServer, site: str, files: dict[str, bytes], rows: np.ndarray
) -> None:
    before = source_digest(f"{site}/pytorch_model.bin")
    server.add("own/m", files | {"pytorch_model.bin": pickled(rows + 1)})
    remote._opened.cache_clear()
    assert source_digest(f"{site}/pytorch_model.bin") != before
    assert np.array_equal(open_source(f"{site}/pytorch_model.bin").rows, rows + 1)


@pytest.mark.parametrize("oddity", ["old format", "ignore range", "kilobyte"])
def test_odd_web_servers_give_the_same_matrix(
    server: HubServer,
    site: str,
    files: dict[str, bytes],
    rows: np.ndarray,
    oddity: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if oddity == "old format":
        old = pickled(rows, _use_new_zipfile_serialization=False)
        server.add("own/m", files | {"pytorch_model.bin": old})
    else:
        server.always = oddity
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(open_source(f"{site}/pytorch_model.bin").rows, rows)
    assert ("are downloaded" in caplog.text) == (oddity != "kilobyte")


def test_without_a_tokenizer_beside_it_rows_are_numbered(
    server: HubServer, site: str, files: dict[str, bytes]
) -> None:
    server.add("own/m", {"model.safetensors": files["model.safetensors"]})
    assert open_source(f"{site}/model.safetensors").tokens[0] == "#0"
    with pytest.raises(NoTokenizer):
        load_tokenizer(f"{site}/model.safetensors")


@pytest.mark.parametrize(
    ("name", "fault", "problem"),
    [
        ("nothing.safetensors", None, "has no such file (404)"),
        ("model.safetensors", 403, "refused access (403): a link may have expired; no token is"),
        ("model.safetensors", 500, "answered 500; try again later"),
    ],
)
def test_what_a_web_server_refuses_is_one_line(
    server: HubServer, site: str, name: str, fault: int | None, problem: str
) -> None:
    server.always = fault
    with pytest.raises(TrialError) as caught:
        open_source(f"{site}/{name}")
    assert str(caught.value).startswith(f"{site}/{name}: ")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_proxy_that_answers_for_the_web_server_is_blamed(server: HubServer, site: str) -> None:
    source_digest(f"{site}/model.safetensors")
    server.always = "other file"
    with pytest.raises(TrialError, match="sends a file of 27 bytes in place of one of"):
        open_source(f"{site}/model.safetensors")


def test_a_web_server_that_cannot_be_reached_is_named(
    server: HubServer, site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.stop()
    monkeypatch.setattr(server, "stop", lambda: None)
    with pytest.raises(TrialError, match=f"no answer from {server.url}"):
        source_digest(f"{site}/model.safetensors")


class Store(AbstractFileSystem):  # type: ignore[misc]
    """An object store in memory that counts what it serves."""

    protocol = "s3"
    cachable = False
    content: ClassVar[dict[str, bytes]] = {}
    sent: ClassVar[list[int]] = []

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        if path.startswith("secret"):
            raise PermissionError(path)
        if path.startswith("odd"):
            raise RuntimeError("the clock is skewed")
        if path not in self.content:
            raise FileNotFoundError(path)
        size = len(self.content[path])
        etag = f'"{hash(self.content[path])}"' if not path.startswith("bare") else ""
        return {"name": path, "size": size, "type": "file", "ETag": etag}

    def cat_file(self, path: str, start: Any = None, end: Any = None, **_: Any) -> bytes:
        data = self.content[path][start:end]
        self.sent.append(len(data))
        return data

    def get_file(self, rpath: str, lpath: str, **_: Any) -> None:
        Path(lpath).write_bytes(self.content[rpath])


@pytest.fixture
def store(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> type[Store]:
    monkeypatch.setitem(sys.modules["fsspec.registry"]._registry, "s3", Store)
    monkeypatch.setattr(Store, "content", {f"bucket/m/{n}": c for n, c in files.items()})
    monkeypatch.setattr(Store, "sent", [])
    return Store


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "weights.npz"])
def test_a_file_in_an_object_store_costs_the_bytes_of_its_matrix(
    store: type[Store], rows: np.ndarray, name: str
) -> None:
    uri = f"s3://bucket/m/{name}"
    matrix = open_source(uri)
    assert np.array_equal(matrix.rows, rows)
    assert matrix.tokens[0] == "a"
    assert N_TENSOR_BYTES <= sum(store.sent) < N_TENSOR_BYTES + 200_000
    assert matrix.digest == source_digest(uri)


def test_an_old_pickle_in_an_object_store_is_fetched_whole(
    store: type[Store], rows: np.ndarray
) -> None:
    store.content["bucket/m/old.pt"] = pickled(rows, _use_new_zipfile_serialization=False)
    assert np.array_equal(open_source("s3://bucket/m/old.pt").rows, rows)


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("s3://bucket/nothing.pt", "no such file"),
        ("s3://secret/model.pt", "access refused: check the credentials"),
        ("s3://odd/model.pt", "the object store refused (RuntimeError: the clock is skewed)"),
        ("s3://bare/model.pt", "neither ETag nor Last-Modified"),
        ("gs://bucket/model.pt", "gs: needs a package that is not installed"),
        ("https://host/rows.npy", "a remote file is named as in https://HOST/PATH.safetensors"),
        ("https:model.safetensors", "a remote file is named as in https://HOST"),
        ("s3://bucket/model.pt?a b", "a remote file is named as in s3://"),
    ],
)
@pytest.mark.usefixtures("store")
def test_what_cannot_be_read_from_a_store_is_one_line(uri: str, problem: str) -> None:
    Store.content["bare/model.pt"] = b"x"
    for door in (open_source, source_digest):
        with pytest.raises(TrialError) as caught:
            door(uri)
        assert problem in str(caught.value)
        assert str(caught.value).startswith(f"{uri}: ")


def test_rows_of_a_position_matrix_on_a_server_are_numbered(
    server: HubServer, safetensors_bytes: Callable[..., bytes], rows: np.ndarray
) -> None:
    tensors = {"wte.weight": ("F32", rows), "wpe.weight": ("F32", rows[:20])}
    file = safetensors_bytes(tensors)
    server.add("own/p", {"model.safetensors": file, "tokenizer.json": TOKENIZER})
    uri = f"{server.url}/own/p/resolve/main/model.safetensors#positions"
    assert open_source(uri).tokens[0] == "#0"
    assert torch.equal(torch.from_numpy(open_source(uri).rows), torch.from_numpy(rows[:20]))
