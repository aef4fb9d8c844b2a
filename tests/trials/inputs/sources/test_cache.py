from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from trials.api import TrialError
from trials.inputs.sources.cache import cache_dir, file_digest, remembered, replacing, text_digest
from trials.inputs.sources.loaded import Loaded
from trials.inputs.sources.tokens import named_rows

DIGEST = text_digest("a source")


class Source:
    """Counts how often it is read."""

    def __init__(self, dtype: str = "float32") -> None:
        self.n_reads = 0
        self.rows = np.arange(12).reshape(4, 3).astype(dtype)

    def load(self) -> Loaded:
        self.n_reads += 1
        return Loaded(self.rows, named_rows([" a", "\x00", "日", "\\xff"]), {"dtype": "X"})


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "uint16"])
def test_a_cached_matrix_comes_back_exactly(dtype: str) -> None:
    source = Source(dtype)
    first = remembered(DIGEST, source.load)
    second = remembered(DIGEST, source.load)
    assert source.n_reads == 1
    assert second.rows.dtype == first.rows.dtype
    assert np.array_equal(second.rows, first.rows)
    assert second.facts == first.facts
    assert second.vocabulary.tokens == first.vocabulary.tokens
    assert np.array_equal(second.vocabulary.merge_rank, first.vocabulary.merge_rank)


@pytest.mark.parametrize("damage", ["cut", "flipped bit in the rows", "empty", "other file"])
def test_a_damaged_entry_is_read_again_from_the_source(damage: str) -> None:
    source = Source()
    remembered(DIGEST, source.load)
    (entry,) = cache_dir("matrices").iterdir()
    content = bytearray(entry.read_bytes())
    if damage == "cut":
        del content[-5:]
    elif damage == "flipped bit in the rows":
        place = content.index(source.rows.tobytes())
        content[place] ^= 1
    elif damage == "empty":
        content.clear()
    else:
        content[:] = b"not a safetensors file at all"
    entry.write_bytes(content)
    assert np.array_equal(remembered(DIGEST, source.load).rows, source.rows)
    assert source.n_reads == 2
    remembered(DIGEST, source.load)
    assert source.n_reads == 2


def test_many_that_want_one_matrix_read_the_source_once() -> None:
    source, together = Source(), threading.Barrier(4)

    def want() -> None:
        together.wait()
        remembered(DIGEST, source.load)

    threads = [threading.Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert source.n_reads == 1


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "kept"
    target.write_text("old")

    def write() -> None:
        with replacing(target) as temporary:
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write()
    assert target.read_text() == "old"
    assert list(tmp_path.glob("*kept*")) == [target]


def test_the_digest_of_a_file_follows_its_content(tmp_path: Path) -> None:
    path = tmp_path / "rows.npy"
    path.write_bytes(b"one")
    first = file_digest(path)
    assert file_digest(path) == first
    path.write_bytes(b"two")
    os.utime(path, ns=(0, 1))
    assert file_digest(path) != first


def test_the_cache_folder_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEPER_CACHE", str(tmp_path / "mine"))
    assert cache_dir("x") == tmp_path / "mine" / "x"
    monkeypatch.delenv("SWEEPER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "embedding-sweeper"


def test_a_cache_folder_that_cannot_be_made_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("SWEEPER_CACHE", str(tmp_path / "taken"))
    with pytest.raises(TrialError, match="name another in SWEEPER_CACHE"):
        cache_dir("x")


def test_parts_of_a_digest_are_told_apart() -> None:
    assert text_digest("a", "bc") != text_digest("ab", "c")
