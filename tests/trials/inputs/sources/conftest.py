"""Models on a small hub, and a process that knows nothing of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
from huggingface_hub import close_session

from tests.trials.inputs.sources.hub_server import CONFIG, D_MODEL, N_VOCAB, HubServer
from trials.inputs.sources.schemes import http_ranges, hub

NUMPY_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8"}


def safetensors_bytes(tensors: dict[str, tuple[str, np.ndarray]]) -> bytes:
    """A safetensors file; each tensor is (dtype as in the header, array with those bytes)."""
    header, body = {}, b""
    for name, (dtype, array) in tensors.items():
        data = array.astype(NUMPY_DTYPES[dtype]).tobytes()
        span = [len(body), len(body) + len(data)]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": span}
        body += data
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    return len(text).to_bytes(8, "little") + text + body


@pytest.fixture(autouse=True)
def _own_hub_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(http_ranges, "_LONGEST_WAIT_S", 0.0)


@pytest.fixture
def forget() -> Iterator[Callable[[], None]]:
    """Forget what this process learnt about revisions, as a new process would not know it."""

    def forget() -> None:
        hub._commit.cache_clear()
        hub._has_tokenizer.cache_clear()

    yield forget
    forget()
    close_session()


@pytest.fixture
def server(forget: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    server = HubServer()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    yield server
    server.stop()


@pytest.fixture
def storage() -> Iterator[HubServer]:
    """A second host, as the one to which a hub redirects large files."""
    server = HubServer()
    yield server
    server.stop()


@pytest.fixture(name="safetensors_bytes")
def _safetensors_bytes() -> Callable[[dict[str, tuple[str, np.ndarray]]], bytes]:
    return safetensors_bytes


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(N_VOCAB, D_MODEL)).astype(np.float32)


@pytest.fixture
def weights(rows: np.ndarray) -> bytes:
    """A model whose body is a hundred times its embedding."""
    body = np.zeros((N_VOCAB * D_MODEL * 50,), np.float32)
    return safetensors_bytes(
        {
            "before": ("F32", body),
            "transformer.wte.weight": ("F32", rows),
            "after": ("F32", body),
        }
    )


@pytest.fixture
def model(server: HubServer, weights: bytes) -> HubServer:
    server.add("own/model", {"config.json": CONFIG, "model.safetensors": weights})
    return server
