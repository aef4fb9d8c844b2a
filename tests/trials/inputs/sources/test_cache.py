from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.trials.inputs.sources.formats.test_shards import ROWS, write_gguf
from trials.api import TrialError
from trials.inputs.cache import cache_dir, keep_text, kept_text, replacing
from trials.inputs.digests import file_digest, identity, text_digest
from trials.inputs.sources import load_tokenizer
from trials.inputs.sources.loaded import Loaded
from trials.inputs.sources.matrix_cache import remembered
from trials.inputs.sources.vocabulary import named_rows

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


def test_a_file_of_equal_size_and_time_put_in_its_place_is_another(tmp_path: Path) -> None:
    """As archives, copies and images of containers leave it."""
    path, other = tmp_path / "rows.npy", tmp_path / "other.npy"
    path.write_bytes(b"one")
    other.write_bytes(b"two")
    for file in (path, other):
        os.utime(file, (10**9, 10**9))
    before = known_digest(path)
    other.replace(path)
    assert file_digest(path) != before
    path.write_bytes(b"333")
    os.utime(path, (10**9, 10**9))
    assert file_digest(path) == hashlib.sha256(b"333").hexdigest()


def known_digest(path: Path) -> str:
    """The digest of a file, remembered as of one that settled long ago."""
    digest = file_digest(path)
    keep_text("digests", identity(path, path.stat()), digest)
    return digest


def test_the_digest_of_a_file_that_changed_just_now_is_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "rows.npy"
    path.write_bytes(b"one")
    file_digest(path)
    assert kept_text("digests", identity(path, path.stat())) is None


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "not UTF-8", "as older ones"])
def test_a_damaged_text_in_the_cache_is_not_used(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "rows.npy"
    path.write_bytes(b"one")
    digest = known_digest(path)
    [entry] = cache_dir("digests").iterdir()
    content = bytearray(entry.read_bytes())
    content[-1] ^= 1
    damaged = {
        "cut": content[:-2],
        "flipped": content,
        "empty": b"",
        "not UTF-8": b"\xff" * 64,
        "as older ones": b"0" * 64,
    }
    entry.write_bytes(damaged[damage])
    assert file_digest(path) == digest


def test_what_a_killed_process_left_half_written_goes_with_the_next_write() -> None:
    source = Source()
    left = cache_dir("matrices") / f".{DIGEST}.v1.safetensors.abcd"
    left.write_bytes(b"half")
    remembered(DIGEST, source.load)
    assert [entry.name for entry in cache_dir("matrices").iterdir()] == [f"{DIGEST}.v1.safetensors"]


@pytest.mark.parametrize("cache", ["taken/below", "~nobody-of-this-name/x", "null\0byte"])
def test_without_a_cache_sources_are_read_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: str
) -> None:
    (tmp_path / "taken").write_text("")
    # The environment holds no null bytes, but a folder can be impossible in other ways too.
    monkeypatch.setattr(os, "environ", {**os.environ, "SWEEPER_CACHE": cache})
    (tmp_path / "rows.npy").write_bytes(b"one")
    assert file_digest(tmp_path / "rows.npy") == hashlib.sha256(b"one").hexdigest()
    source = Source()
    for n_reads in (1, 2):
        assert np.array_equal(remembered(DIGEST, source.load).rows, source.rows)
        assert source.n_reads == n_reads
    with pytest.raises(TrialError, match="name another in SWEEPER_CACHE"):
        cache_dir("wheels")


OPEN = """
import sys
from trials.inputs.sources import load_tokenizer, open_source
uri = sys.argv[1]
print(open_source(uri).rows.sum(), load_tokenizer(uri).encode("abd").ids)
"""


def opened_elsewhere(uri: str, *, limit: int = -1, **environment: str) -> subprocess.Popen[str]:
    """Another process that opens the matrix and the tokenizer; `limit` is that of its files."""

    def limited() -> None:
        if limit >= 0:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.Popen(
        [sys.executable, "-c", OPEN, uri],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        cwd=Path(__file__).parents[4],
        preexec_fn=limited,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def model(tmp_path: Path) -> Path:
    [path] = write_gguf(tmp_path / "m.gguf")
    return path


EXPECTED = f"{ROWS.sum()!s} [4, 5]\n"


def test_a_disk_without_room_for_the_cache_costs_time_only(model: Path) -> None:
    said, problem = opened_elsewhere(f"gguf:{model}", limit=0).communicate()
    assert said == EXPECTED, problem
    assert "Traceback" not in problem


def test_processes_that_fill_one_cache_at_once_read_the_same(model: Path) -> None:
    processes = [opened_elsewhere(f"gguf:{model}") for _ in range(3)]
    assert [process.communicate()[0] for process in processes] == [EXPECTED] * 3
    [entry] = cache_dir("matrices").iterdir()
    assert entry.suffix == ".safetensors"


def test_a_user_without_a_home_reads_sources(tmp_path: Path, model: Path) -> None:
    """As in a container that runs as a number without an entry in its list of users."""
    (tmp_path / "taken").write_text("")
    nowhere = {"HOME": str(tmp_path / "taken"), "SWEEPER_CACHE": "", "XDG_CACHE_HOME": ""}
    said, problem = opened_elsewhere(f"gguf:{model}", **nowhere).communicate()
    assert said == EXPECTED, problem
    assert "Traceback" not in problem
    assert problem.count("name another in SWEEPER_CACHE") == 1


def test_a_damaged_tokenizer_in_the_cache_is_built_again(model: Path) -> None:
    assert load_tokenizer(f"gguf:{model}").encode("abd").ids == [4, 5]
    [entry] = cache_dir("tokenizers").iterdir()
    entry.write_text(entry.read_text().replace('"ab":4', '"ab":3'), newline="")
    assert load_tokenizer(f"gguf:{model}").encode("abd").ids == [4, 5]
